#!/bin/sh
# Run once, when the database is empty: a role and a database for the replicas, and the same for the identity provider.
set -eu
for name in ltx identity; do
    case $name in
        ltx) password=$DATABASE_PASSWORD ;;
        identity) password=$IDENTITY_DATABASE_PASSWORD ;;
    esac
    psql --quiet --set ON_ERROR_STOP=1 --username postgres --dbname postgres \
        --set name="$name" --set password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
