"""``underlie explain``, and pointers to it in the errors and warnings of other commands."""

from __future__ import annotations

from underlie import explanations


def test_without_a_name_all_pages_are_listed(run):
    done = run("explain")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == explanations.names()


def test_a_page_is_shown_as_it_is_where_there_is_no_terminal(run):
    done = run("explain", "too-few-rows")
    assert done.exit_code == 0
    assert done.stdout == explanations.page("too-few-rows")


def test_a_misspelt_name_is_bad_input_and_names_the_nearest(run):
    done = run("explain", "colums-differ")
    assert done.exit_code == 2
    assert "did you mean columns-differ?" in done.stderr
    assert "lists them" in run("explain", "xyz").stderr


def test_errors_and_warnings_of_commands_point_at_their_page(run, patients, tmp_path):
    done = run("fit", patients, "--model", "ppca", "--out", tmp_path / "fit")
    assert "olumn 'id' of X" in done.stderr  # a sentence may begin with it
    assert "(more: underlie explain identifier-column)" in done.stderr
    refused = run("score", patients, patients)
    assert refused.exit_code == 2
    assert "(more: underlie explain not-a-model)" in refused.stderr
