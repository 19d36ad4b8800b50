"""One of each promise of the slow tests of films, with one small film: what they try with every kind of film and sound.

A change that breaks editing, converting or drawing as such is red here; what breaks only some kinds is red there.
"""

from pathlib import Path

import pytest

from ltx_mcp.media.client import MediaClient
from tests.media import test_client, test_convert, test_edit, test_odd_films, test_pulse, test_reframe, test_render
from tests.media.odd.films import FILMS
from tests.media.test_client import media, picture
from tests.media.test_render import WILD, cut_png, grey

__all__ = ["media", "picture"]


@pytest.mark.parametrize("mode", ["end", "start"])
def test_a_longer_film_is_the_film_and_more(mode: str, tmp_path: Path) -> None:
    test_edit.test_a_longer_film_keeps_every_frame_at_its_moment("a.mp4", mode, tmp_path)
    test_edit.test_a_longer_film_is_longer_by_what_was_asked("a.mp4", mode, tmp_path)
    test_edit.test_a_longer_film_sounds_as_before_beside_the_same_frames("a.mp4", mode, tmp_path)


@pytest.mark.parametrize("mode", test_edit.RETAKES)
def test_a_retake_is_the_film_but_for_its_section(mode: str, tmp_path: Path) -> None:
    test_edit.test_a_retake_keeps_every_frame_outside_its_section("a.mp4", mode, tmp_path)
    test_edit.test_a_retake_keeps_the_sound_outside_its_section("a.mp4", mode, tmp_path)
    test_edit.test_a_retake_has_the_length_and_the_streams_of_the_film(mode, tmp_path)


def test_what_an_edit_makes_is_new_marked_and_bounded(tmp_path: Path) -> None:
    test_edit.test_only_the_new_part_says_that_it_is_a_preview("end", tmp_path)
    test_edit.test_a_retake_of_the_sound_makes_it_new_in_the_section("replace_audio", tmp_path)
    test_edit.test_a_section_outside_the_film_is_refused_with_the_films_length(1.6, tmp_path)
    test_edit.test_progress_is_told_and_ends_at_one(tmp_path)


def test_a_film_in_another_shape_is_the_film_and_shows_what_moves(tmp_path: Path) -> None:
    test_reframe.test_a_film_in_another_shape_has_that_size_and_every_frame_at_its_moment("a.mp4", "9:16", tmp_path)
    test_reframe.test_what_moves_stays_in_the_picture_and_keeps_its_shape(False, 0, tmp_path)
    test_reframe.test_the_window_jumps_at_a_cut_and_there_alone()
    test_reframe.test_every_frame_says_that_it_is_not_ltx(tmp_path)


def test_a_converted_film_looks_and_sounds_the_same(tmp_path: Path) -> None:
    test_convert.test_a_converted_film_has_every_frame_at_its_moment_and_looks_the_same("a.mov", tmp_path)
    test_convert.test_the_sound_of_a_converted_film_is_heard_with_the_same_frames("a.mov", tmp_path)
    test_convert.test_the_facts_told_of_a_conversion_are_those_of_an_mp4_as_wanted("a.mov", tmp_path)
    test_convert.test_a_picture_that_is_h264_already_is_copied("a.mkv", tmp_path)


def test_a_converted_sound_is_heard_at_the_same_moments(tmp_path: Path) -> None:
    test_convert.test_a_converted_sound_is_heard_at_the_same_moments("a.wav", tmp_path)
    test_convert.test_rate_and_channels_stay_where_players_know_them(22_050, "mono", (44_100, "mono"), tmp_path)
    test_convert.test_what_cannot_be_read_is_refused_and_not_converted("audio", tmp_path)


def test_a_preview_is_exactly_as_ordered(tmp_path: Path) -> None:
    test_render.test_the_film_is_exactly_as_ordered(360, 640, 24, 0.5, tmp_path)
    test_render.test_without_sound_there_is_no_sound_track(tmp_path)
    test_render.test_a_player_can_begin_before_the_whole_file_is_there(tmp_path)
    test_render.test_progress_is_told_a_few_times_a_second_and_ends_at_one(tmp_path)


def test_a_preview_shows_its_prompt_its_pictures_and_what_it_is(tmp_path: Path) -> None:
    test_render.test_another_prompt_is_another_picture(tmp_path)
    test_render.test_another_seed_is_another_picture_and_the_same_seed_the_same_bytes(tmp_path)
    test_render.test_the_camera_pans_over_a_picture_as_asked("dolly_left", "x", 1, tmp_path)
    test_render.test_the_film_begins_on_the_whole_picture(tmp_path)
    test_render.test_the_film_ends_on_the_end_picture_even_of_another_shape(tmp_path)
    test_render.test_a_picture_is_shown_upright(6, None, tmp_path)
    test_render.test_every_kind_of_picture_keeps_its_colour(grey, (90, 90, 90), tmp_path)
    test_render.test_the_mark_and_the_caption_are_seen_on_every_frame(tmp_path)


def test_a_preview_bears_any_prompt_and_no_bad_picture(tmp_path: Path) -> None:
    test_render.test_no_prompt_breaks_the_preview(WILD[7], tmp_path)
    test_render.test_the_count_reaches_the_notes_of_a_render(tmp_path)
    test_render.test_a_bad_picture_is_refused_with_what_is_allowed(cut_png, "is cut short", tmp_path)
    test_render.test_an_error_says_which_picture_it_means(tmp_path)


def test_a_preview_moves_to_a_sound_that_is_its_track(tmp_path: Path) -> None:
    test_pulse.test_the_sound_is_heard_from_the_first_frame_on("a.mp3", tmp_path)
    test_pulse.test_what_an_mp4_can_hold_is_copied_and_the_rest_becomes_aac("a.mp3", tmp_path)
    test_pulse.test_the_film_is_as_long_as_ordered_however_long_the_sound("a.mp3", 0.8, tmp_path)
    test_pulse.test_the_picture_moves_to_the_sound(False, tmp_path)
    test_pulse.test_what_is_no_sound_is_refused(tmp_path)


@pytest.mark.anyio
@pytest.mark.usefixtures("started_media")
async def test_a_child_process_works_and_tells_and_leaves_nothing(
    media: MediaClient, picture: Path, tmp_path: Path
) -> None:
    await test_client.test_each_kind_of_work_comes_back_as_its_facts(media, picture, tmp_path)
    await test_client.test_an_error_of_the_caller_stays_one_across_the_pipe(media, tmp_path)
    await test_client.test_a_failed_render_leaves_no_file(media, tmp_path)
    await test_client.test_cancelling_short_work_kills_the_warm_child(media, picture, tmp_path)
    await test_client.test_work_that_takes_too_long_is_stopped_and_said_to_be(tmp_path)


@pytest.mark.parametrize(
    "traits", ["mirrored", "turned by 90° to the right, HDR (HLG)", "its first 0.80 s are not shown"]
)
def test_an_odd_film_is_what_a_player_shows(traits: str, tmp_path: Path) -> None:
    film = next(film for film in FILMS if film.traits == traits)
    test_odd_films.test_an_odd_film_is_what_a_player_shows(film, tmp_path)
    test_odd_films.test_an_odd_film_that_comes_is_measured_and_seen_as_a_player_shows_it(film, tmp_path)
