// An identity provider on loopback: npm's oidc-provider, and what a test tells it to do.
//
// stdin: {"secret": …} first, a line of JSON for each further command; each is answered by a line on stdout.
// It ends with its stdin. A person at a browser is whoever `login_hint` names, who agrees to everything that is allowed.
// Where it stands behind a proxy the first line says its `issuer`, its `port` and the file in which it keeps its keys.
import { generateKeyPair, randomUUID } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { Provider } from "oidc-provider";
import { createMemoryAdapter } from "oidc-provider/lib/adapters/memory_adapter.js";

const CLIENTS = ["https://client.example/ltx.json", "https://claude.ai/oauth/claude-code-client-metadata"];
const CALLBACKS = ["http://127.0.0.1/callback", "http://localhost/callback"]; // of a native client, with any port
const SCOPES = "ltx:read ltx:order ltx:act";
const SECRETS = ["access_token", "refresh_token", "id_token", "client_secret", "registration_access_token"];
const HOUR_S = 3600;

const grants = []; // what was granted: the grant's type, to which client
const secrets = new Set(); // all that must not be told
const keys = []; // the first signs
const adapter = createMemoryAdapter();
const told = { allow: SCOPES, lifetime_s: HOUR_S };
const now = Date.now.bind(Date);
let provider;

async function newKey() {
  const pair = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  return { ...pair.privateKey.export({ format: "jwk" }), alg: "RS256", use: "sig", kid: randomUUID() };
}

function machine(client_id, client_secret) {
  return { client_id, client_secret, grant_types: ["client_credentials"], redirect_uris: [], response_types: [] };
}

async function readKeys(file) {
  const kept = file && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [await newKey()];
  if (file) writeFileSync(file, JSON.stringify(kept), { mode: 0o600 });
  return kept;
}

function makeProvider(issuer, secret) {
  const below = pathOf(issuer);
  const made = new Provider(issuer, {
    adapter,
    jwks: { keys },
    clients: [machine("nightly", secret)],
    cookies: { keys: [secret] },
    scopes: ["openid", "offline_access", ...SCOPES.split(" ")],
    pkce: { required: () => true },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_ctx, { uid }) => `${below}/interaction/${uid}` },
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
    // Its own fetch rightly refuses loopback, and there is no other network here: clients' documents are answered.
    fetch: async (url) => (CLIENTS.includes(`${url}`) ? Response.json(metadata(`${url}`)) : Response.error()),
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true },
      clientCredentials: { enabled: true },
      clientIdMetadataDocument: { enabled: true, ack: "draft-02" },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: told.allow,
          audience: resource,
          accessTokenFormat: "jwt",
          accessTokenTTL: told.lifetime_s,
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
  made.proxy = first.issuer !== undefined;
  made.use(remember);
  return made;
}

/** The path of an issuer, which the addresses of all pages begin with. */
function pathOf(issuer) {
  return new URL(issuer).pathname.replace(/\/$/, "");
}

function metadata(client_id) {
  return {
    client_id,
    redirect_uris: CALLBACKS,
    grant_types: ["authorization_code", "refresh_token"],
    token_endpoint_auth_method: "none",
    application_type: "native",
  };
}

async function remember(ctx, next) {
  await next();
  const sent = { ...ctx.oidc?.params };
  for (const name of ["code", "code_verifier", "refresh_token", "client_secret"]) if (sent[name]) secrets.add(sent[name]);
  for (const name of SECRETS) if (ctx.body?.[name]) secrets.add(ctx.body[name]);
  if (ctx.oidc?.route === "token" && ctx.status === 200) grants.push([sent.grant_type, ctx.oidc.client.clientId]);
}

async function interact(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  const accountId = session?.accountId ?? params.login_hint ?? "ada";
  if (prompt.name === "login") return provider.interactionFinished(request, response, { login: { accountId } });
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const allowed = told.allow.split(" ");
  for (const scope of params.scope.split(" ")) {
    if (allowed.includes(scope)) grant.addResourceScope(params.resource, scope);
  }
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent });
}

const COMMANDS = {
  /** From now on a new key signs; the older ones stay published. */
  rotate: async () => {
    keys.unshift(await newKey());
    provider = makeProvider(provider.issuer, secret);
    return keys.map(({ kid }) => kid);
  },
  /** What is granted from now on, whatever is asked for; the lifetime of tokens. */
  set: async (values) => Object.assign(told, values),
  /** This clock goes wrong by so much. */
  ago: async (seconds) => void (Date.now = () => now() - 1000 * seconds),
  grants: async () => grants.splice(0),
  secrets: async () => [...secrets],
};

console.info = () => {}; // stdout belongs to the answers
const server = createServer((request, response) => {
  const below = pathOf(provider.issuer);
  if (!request.url.startsWith(below)) return response.writeHead(404).end();
  request.originalUrl = request.url;
  request.url = request.url.slice(below.length) || "/";
  const answered = request.url.startsWith("/interaction/")
    ? interact(request, response)
    : provider.callback()(request, response);
  Promise.resolve(answered).catch((error) => response.writeHead(500).end(String(error)));
});
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const first = JSON.parse((await lines.next()).value);
const { secret } = first;
secrets.add(secret);
keys.push(...(await readKeys(first.keys_file)));
await new Promise((listening) => server.listen(first.port ?? 0, "127.0.0.1", listening));
provider = makeProvider(first.issuer ?? `http://127.0.0.1:${server.address().port}`, secret);
console.log(JSON.stringify({ issuer: provider.issuer }));
for await (const line of lines) {
  const [name, value] = Object.entries(JSON.parse(line))[0];
  console.log(JSON.stringify((await COMMANDS[name](value)) ?? null));
}
process.exit(0);
