"""What seeding makes of a tool: the policy it gives, and the reason it gives for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import corpus
from webapp.services.seeding import Seed, seed

READ_NAMES = """
get_widget list_widgets search_widgets fetch_widget find_widget read_widget show_widget describe_widget
retrieve_widget view_widget count_widgets lookup_widget compare_widgets validate_widget summarize_widgets
check_widget_health preview_widget query_widgets browse_widgets inspect_widget
getWidget listAllWidgets SearchWidgets fetchHTTPHeaders get-widget list-open-widgets widgets.list widget.get
widgets/list widgetdesk_get_widget widgetdesk-list-widgets widgetdesk_listWidgets
widget_get widgets_list widget_search desk_widgets_get_all backups_list messages_search trigger_get
listing_widgets getuser listissues getuserbyid describeinstances
list_updates get_post get_issue_comments search_orders get_release list_deployments read_message
get_latest_update get_change_set list_change_requests get_pull_request list_purchase_orders get_rate_limit
get_updated_widgets list_deleted_items find_archived_projects get_sign_in_page get_start_date list_add_ons
list_widgets_by_order get_settings_for_import get_lock_state get_reset_history list_open_orders
run_report run_kql_query execute_promql_query test_connection resolve_hostname
bulk_get_widgets batch_read_widgets
""".split()

SETTLED_BY_THE_DESCRIPTION = [
    ("is_widget_online", "Checks whether a widget is online."),
    ("has_widget", "Returns true when the shelf holds a widget."),
    ("capture_screen", "Returns the screen as a base64 image."),
    ("log_search", "Search the log"),
    ("comment_list", "Lists the comments of a widget"),
    ("order_status", "Shows how far an order is"),
    ("job_import_status", "Returns how far the import is"),
    ("scan_widget", "Checks whether a widget is clean"),
    ("ask_question", "Ask a question about the documentation"),
]

WRITE_NAMES = """
create_widget delete_widget update_widget add_widget remove_widget send_widget edit_widget rename_widget
upsert_widget publish_widget approve_widget cancel_widget restart_widget assign_widget attach_label
createWidget DeleteAllWidgets updateWidgetState create-widget widgets.delete widget/update
widgetdesk_create_widget widgetdesk-delete-widgets widgetdesk_updateWidget
widget_create widget_delete widget_update widgets_add_note device_reboot user_disable network_reset
creating_widget deleteuser createissue updateticket usersdelete
get_or_create_widget fetch_and_delete list_delete find_or_update_widget search_and_replace get_and_post
list_then_archive update_list archive_and_list set_status reset_password move_widget post_message
start_scan stop_service close_ticket mark_as_read mark_all_read sign_out check_out_laptop
run_script execute_sql run_shell_command eval_python execute_code call_graphql_mutation
show_alert check_box bulk_delete_widgets
""".split()

UNSURE_NAMES = """
widget frobnicate_widget order_pizza widget_order log_time comment_widget export_widgets sync_widgets
run_widget query query_database log_search tag_list profile_reset poll_vote profile_update_settings
open_widget generate_token resolve_incident
""".split()


@pytest.mark.parametrize("name", READ_NAMES)
def test_a_name_that_only_looks_is_auto(name: str) -> None:
    assert seed(name, None).policy == "auto", seed(name, None).reason
    assert seed(name, None).kind == "read"


@pytest.mark.parametrize(("name", "description"), SETTLED_BY_THE_DESCRIPTION)
def test_a_description_that_looks_settles_an_unsure_name(name: str, description: str) -> None:
    assert seed(name, description).policy == "auto", seed(name, description).reason


@pytest.mark.parametrize("name", WRITE_NAMES)
def test_a_name_that_changes_something_needs_approval(name: str) -> None:
    assert seed(name, None) == Seed("approval", seed(name, None).reason, "write")


@pytest.mark.parametrize("name", WRITE_NAMES)
def test_no_description_and_no_hint_makes_a_write_name_auto(name: str) -> None:
    harmless = {"readOnlyHint": True, "destructiveHint": False}
    assert seed(name, "Returns a list. Read-only.", harmless).policy == "approval"


@pytest.mark.parametrize("name", UNSURE_NAMES)
def test_a_name_that_may_be_either_needs_approval_without_a_description(name: str) -> None:
    assert seed(name, None) == Seed("approval", seed(name, None).reason, "unknown")


@pytest.mark.parametrize(
    "description",
    [
        "Returns the widgets of a shelf.",
        "Retrieve all widgets",
        "This tool lists widgets.",
        "Use this tool to search for widgets by colour.",
        "Allows you to find widgets.",
        "**Widgets**: Get one widget with its parts",
        "[Widget Desk] Look up a widget",
        "Quickly and safely fetches widgets",
        "Widgets of one shelf: returns each with its price.",
        "Get widgets to update or delete later",
        "Lists widgets. This is not destructive and does not modify anything.",
        "Show widgets. Use this before creating or deleting one.",
        "Read the updates, comments and orders of a widget",
        "Check whether a widget exists",
    ],
)
def test_a_silent_name_listens_to_the_description(description: str) -> None:
    assert seed("widget", description).policy == "auto", seed("widget", description).reason
    assert "description" in seed("widget", description).reason


@pytest.mark.parametrize(
    "description",
    [
        "Creates a widget.",
        "Delete the widget",
        "This tool updates a widget.",
        "Gets the widget and deletes it.",
        "Fetch all widgets and save them to a file",
        "Get or create a widget",
        "Retrieves, updates and removes widgets",
        "Search widgets, or manage saved searches",
        "Apply a discount",
        "Hard-stop a widget",
        "Checks out a widget to a person",
        "Lists a widget for sale",
        "Gets the widget. This cannot be undone.",
        "Fetches a widget. This tool modifies the shelf.",
        "Show a notification on the screen",
        "Widgets: Sends one by post",
    ],
)
def test_a_description_that_admits_a_write_outweighs_a_reading_name(description: str) -> None:
    for name in ("get_widget", "widget"):
        assert seed(name, description).kind == "write", seed(name, description).reason


@pytest.mark.parametrize(
    "description",
    [
        "",
        "✨",
        "Widgets.",
        "Frobnicates the widget",
        "Frobnicates the widget. Returns its new state.",
        "Frobnicate a widget\n\nArgs:\n    widget: List of widgets\n\nReturns:\n    dict",
        "Frobnicates one or more widgets at once: returns the new state",
        "Order details of a widget",
        "The groups of a widget",
    ],
)
def test_a_description_without_a_verb_says_nothing(description: str) -> None:
    assert seed("widget", description).kind == "unknown"
    assert seed("get_widget", description).policy == "auto"


@pytest.mark.parametrize("name", ["frobnicate_status", "frobnicate_disk_usage", "flip_state"])
def test_a_state_behind_an_unknown_word_is_none(name: str) -> None:
    assert seed(name, None).policy == "approval"
    assert seed(name, "Frobnicates it.").policy == "approval"


@pytest.mark.parametrize(
    "name", ["server_status", "license_info", "cpu_stats", "widgetVersion", "disk-usage"]
)
def test_a_state_without_a_verb_is_a_question(name: str) -> None:
    assert seed(name, None).policy == "auto"
    assert seed(name, "Flips it: deletes what is there").policy == "approval"


@pytest.mark.parametrize(
    "hints",
    [
        {"readOnlyHint": False},
        {"destructiveHint": True},
        {"readOnlyHint": True, "destructiveHint": True},
        {"readOnlyHint": False, "destructiveHint": False},
    ],
)
def test_hints_tighten(hints: dict[str, bool]) -> None:
    assert seed("get_widget", "Returns a widget", hints).policy == "approval"
    assert "server" in seed("get_widget", "Returns a widget", hints).reason


@pytest.mark.parametrize("hints", [{"readOnlyHint": True}, {"destructiveHint": False}, {"title": "Get"}, {}])
def test_hints_never_loosen(hints: dict[str, Any]) -> None:
    assert seed("widget", "Widgets.", hints).policy == "approval"
    assert seed("delete_widget", None, hints).policy == "approval"
    assert seed("get_widget", None, hints).policy == "auto"


def with_parameter(name: str, definition: object) -> dict[str, Any]:
    return {"type": "object", "properties": {"widget": {"type": "string"}, name: definition}}


@pytest.mark.parametrize(
    ("parameter", "definition"),
    [
        ("action", {"enum": ["get", "delete"]}),
        ("Operation", {"enum": ["list", "create_widget"]}),
        ("method", {"const": "update"}),
        ("op", {"anyOf": [{"const": "list"}, {"const": "remove"}]}),
        ("mode", {"oneOf": [{"enum": ["read", "write"]}]}),
        ("actions", {"type": "array", "items": {"enum": ["get", "send"]}}),
    ],
)
def test_an_action_parameter_that_offers_a_write_makes_a_write(parameter: str, definition: object) -> None:
    found = seed("get_widget", "Returns widgets", None, with_parameter(parameter, definition))
    assert found.kind == "write"
    assert parameter in found.reason


def test_an_action_parameter_with_reads_only_tells_more_than_an_empty_verb() -> None:
    reads = with_parameter("action", {"enum": ["get", "list"]})
    assert seed("manage_widgets", "Widgets.", None, reads).policy == "auto"
    assert seed("widgets", "Widgets.", None, reads).policy == "auto"
    assert seed("delete_widgets", "Widgets.", None, reads).policy == "approval"
    assert seed("manage_widgets", "Deletes widgets", None, reads).policy == "approval"


def test_an_action_parameter_without_a_list_of_values_leaves_doubt() -> None:
    anything = with_parameter("action", {"type": "string"})
    assert seed("widgets", "Returns widgets", None, anything).kind == "unknown"
    assert seed("get_widgets", "Returns widgets", None, anything).policy == "auto"


def test_a_write_hidden_behind_a_hundred_reads_is_not_missed_as_one() -> None:
    many = with_parameter("action", {"enum": [*(f"get_widget_{n}" for n in range(200)), "delete_widget"]})
    assert seed("widgets", "Returns widgets", None, many).policy == "approval"


def test_variants_at_the_top_of_a_schema_count_too() -> None:
    variants = [with_parameter("action", {"const": value}) for value in ("get", "delete")]
    assert seed("widgets", "Returns widgets", None, {"oneOf": variants}).kind == "write"
    assert seed("widgets", "Widgets.", None, {"oneOf": variants[:1]}).policy == "auto"


def test_other_parameters_may_hold_any_word() -> None:
    assert (
        seed("get_widget", None, None, with_parameter("event", {"enum": ["delete", "create"]})).policy
        == "auto"
    )


def test_asking_for_confirmation_gives_a_write_away() -> None:
    assert seed("get_widget", None, None, with_parameter("confirm", {"type": "boolean"})).kind == "write"
    assert seed("get_widget", None, None, with_parameter("dryRun", {"type": "boolean"})).kind == "write"


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("query", "Query the shelf"),
        ("query_database", "Query the database"),
        ("shelf_query", "Query a shelf"),
    ],
)
def test_raw_sql_needs_approval_unless_it_can_only_read(name: str, description: str) -> None:
    sql = with_parameter("sql", {"type": "string"})
    assert seed(name, description, None, sql).policy == "approval"
    assert seed(name, "Run a read-only SQL query", None, sql).policy == "auto"
    assert seed(name, "Run a SQL query; not read-only", None, sql).policy == "approval"
    assert (
        seed(name, "Executes SELECT, INSERT or DELETE: a read-only role helps", None, sql).policy
        == "approval"
    )


def test_a_download_that_comes_back_is_a_read_and_one_to_disk_is_not() -> None:
    assert seed("download_widget", "Download a widget as base64").policy == "auto"
    assert seed("export_widgets", "Export widgets. Returns CSV text.").policy == "auto"
    assert (
        seed("download_widget", "Download a widget to the local disk. Returns the path.").policy == "approval"
    )
    assert seed("export_widgets", "Export widgets: starts a job and returns its id").policy == "approval"
    to_file = with_parameter("output_path", {"type": "string"})
    assert seed("export_widgets", "Export widgets. Returns CSV text.", None, to_file).policy == "approval"


@pytest.mark.parametrize(
    ("name", "description", "word"),
    [
        ("delete_widget", None, "“delete”"),
        ("listWidgets", None, "“list”"),
        ("getuser", None, "“get”"),
        ("run_sql", None, "“run sql”"),
        ("find_or_update_widget", None, "“update”"),
        ("widget", "Retrieves a widget", "“Retrieves”"),
        ("get_widget", "Erases a widget", "“Erases”"),
        ("export_widgets", None, "“export”"),
        ("server_status", None, "“status”"),
    ],
)
def test_the_reason_names_the_word(name: str, description: str | None, word: str) -> None:
    assert word in seed(name, description).reason


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "___",
        "123",
        "🧰",
        "gеt_widgets",
        "получить",
        "get\u200b_widget",
        "get_" * 2000,
        None,
        7,
        ["get"],
    ],
)
def test_a_name_that_cannot_be_read_needs_approval(name: Any) -> None:
    assert seed(name, "Returns widgets", {"readOnlyHint": True}).policy == "approval"
    assert seed(name, "Returns widgets").reason == "the name can't be read"


@pytest.mark.parametrize(
    "odd", [None, 7, "text", [1], {"properties": 3}, {"properties": {"action": ["delete"]}}]
)
def test_odd_descriptions_hints_and_schemas_are_no_evidence(odd: Any) -> None:
    assert seed("get_widget", odd if not isinstance(odd, str) else None, odd, odd).policy == "auto"
    assert seed("delete_widget", odd, odd, odd).policy == "approval"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    "get list delete update and or by order query run sql check report widget status a the".split()
)
NAMES = ANYTHING | st.text() | st.lists(WORDS, max_size=6).map("_".join)
TEXTS = ANYTHING | st.text() | st.lists(WORDS | st.sampled_from(".,:\n"), max_size=12).map(" ".join)
HINTS = ANYTHING | st.dictionaries(
    st.sampled_from(["readOnlyHint", "destructiveHint", "idempotentHint", "title"]), st.booleans() | ANYTHING
)
SCHEMAS = ANYTHING | st.fixed_dictionaries(
    {"properties": ANYTHING | st.dictionaries(st.sampled_from(["action", "sql", "x"]), ANYTHING, max_size=3)}
)


@given(NAMES, TEXTS, HINTS, SCHEMAS)
def test_whatever_comes_seeding_answers_and_hints_never_loosen(
    name: Any, description: Any, hints: Any, schema: Any
) -> None:
    without, hinted = seed(name, description, None, schema), seed(name, description, hints, schema)
    assert {without.policy, hinted.policy} <= {"auto", "approval"}
    assert (without.policy == "auto") == (without.kind == "read")
    assert without.reason and hinted.reason
    assert hinted.policy == "approval" or without.policy == "auto"


def test_real_tools_are_seeded_as_safely_as_promised() -> None:
    if not corpus.DEFAULT.is_file():
        pytest.skip(f"the labelled tools are not here: {corpus.DEFAULT}")
    judged = corpus.judge(corpus.load(corpus.DEFAULT))
    unsafe, writes = corpus.unsafe_auto(judged)
    safe, reads = corpus.read_auto(judged)
    assert unsafe <= 0.002 * writes, corpus.mistakes(judged)
    assert safe >= 0.97 * reads, corpus.mistakes(judged)


def test_the_measuring_command_says_why_it_skips(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    corpus.main([str(tmp_path / "absent.jsonl")])
    assert capsys.readouterr().out == f"skipped: {tmp_path / 'absent.jsonl'} is not here\n"


def test_the_measuring_command_prints_both_figures_and_the_mistakes(
    capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    lines = tmp_path / "tools.jsonl"
    lines.write_text(
        '{"name": "get_widget", "description": "", "annotations": null, "label": "read"}\n'
        '{"name": "get_widget", "description": "", "annotations": null, "label": "write"}\n'
        '{"name": "delete_widget", "description": "", "annotations": null, "label": "write"}\n'
    )
    corpus.main(["--wrong", str(lines)])
    out = capsys.readouterr().out
    assert "50.00%" in out and "100.00%" in out and "µs a tool" in out
    assert "WRITE seeded Auto  get_widget: the name says “get”" in out
