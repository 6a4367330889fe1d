"""Documents that must not be published: for each what is wrong, where that stands, and the words that help its author.

A case takes a good document and changes it; the place is the line and the column of what has to be corrected.
"""

from __future__ import annotations

from dataclasses import dataclass

POLICY = """\
kind: Policy
name: credit-production
title: Credit models
parameters:
  min_roc_auc: {type: number, default: 0.7}
  validation_dataset: {type: text}
checks:
  - check: performance
    dataset: ${validation_dataset}
    with: {threshold: 0.5}
requirements:
  - id: roc-auc
    title: ROC AUC
    satisfied_if: measurements["roc_auc"].value >= params.min_roc_auc
    how_to_satisfy: Improve the model.
    waivable: true
steps:
  - name: review
    title: Review
    due: 3 business days
    escalate_to: head-of-risk
    factors:
      - {group: reviewer, count: 2, constraints: [outside_owner_team]}
waivers: {approved_by: waiver-board, max_days: 90}
signature: {meanings: [I reviewed the evidence]}
materiality: {"card.contact*": immaterial}
release:
  execute: on_demand
  windows:
    - {starts: 2026-01-05T09:00, duration: 8 hours, timezone: Europe/Berlin, rrule: "FREQ=WEEKLY;BYDAY=MO"}
validity: {days: 365, re_review_on: [drift]}
rollback:
  steps: [{name: return, factors: [{group: reviewer, count: 1}]}]
expires_after_days: 30
on_timeout: escalate
"""

BINDING = """\
kind: Binding
name: credit
policy: credit-production
mode: enforce
since: 2026-02-01
match: {models: ["credit.*"], risk_tiers: [high]}
targets: {stages: [Production]}
parameters: {min_roc_auc: 0.75}
"""

PARAMETERS = """\
kind: Parameters
name: credit-limits
policy: credit-production
values: {min_roc_auc: 0.75}
"""


@dataclass(frozen=True)
class Broken:
    """A mistake: the document with it, its place, and what the message must say."""

    case: str
    document: str
    line: int
    column: int
    says: str


def policy(case: str, old: str, new: str, line: int, column: int, says: str) -> Broken:
    return Broken(case, _changed(POLICY, old, new), line, column, says)


def binding(case: str, old: str, new: str, line: int, column: int, says: str) -> Broken:
    return Broken(f"binding: {case}", _changed(BINDING, old, new), line, column, says)


def parameters(case: str, old: str, new: str, line: int, column: int, says: str) -> Broken:
    return Broken(f"parameters: {case}", _changed(PARAMETERS, old, new), line, column, says)


def condition(case: str, text: str, line: int, column: int, says: str) -> Broken:
    """Put another expression in the place of `satisfied_if`'s, which begins at line 14, column 19."""
    return policy(f"expression: {case}", 'measurements["roc_auc"].value >= params.min_roc_auc', text, line, column, says)


def _changed(document: str, old: str, new: str) -> str:
    assert document.count(old) == 1, f"{old!r} stands {document.count(old)} times in the document"
    return document.replace(old, new)


BROKEN = [
    # YAML itself
    Broken("nothing", "", 1, 1, "the document is empty; it needs at least kind and name"),
    Broken("a sentence", "please approve", 1, 1, "the document must be of type object, that is fields with values"),
    Broken("an open bracket", "kind: [", 1, 8, "not valid YAML"),
    Broken("a tab", "kind: Policy\n\tname: x", 2, 1, "not valid YAML: found character '\\t'"),
    Broken("nested without end", "[" * 3000, 1, 1, "nested too deeply; at most 20 levels"),
    Broken("a tag of Python", "kind: !!python/object:os.system x", 1, 7, "!!python/object:os.system is not allowed in a document"),
    policy(
        "a check that is asked for twice",
        "    with: {threshold: 0.5}\n",
        "    with: {threshold: 0.5}\n  - check: performance\n    dataset: other\n",
        11,
        12,
        "performance is asked for above",
    ),
    policy("a parameter in braces without quotes", "threshold: 0.5", "threshold: ${limit}", 10, 24, "needs quotes, as in '${name}'"),
    condition("not, without quotes", "!findings.exists(f, true)", 14, 19, "!findings.exists(f, is read as a tag; put a text that begins with ! in"),
    condition("a quote first", '"scan" in version.checks', 14, 26, "a text that begins with a quote or a bracket needs | before it"),
    condition("a question with a colon", "model.name == 'a' ? true : false", 14, 44, "a text with a colon and a blank in it needs quotes"),
    condition("an open quote", "'version.present", 14, 19, "a quote or a bracket is not closed"),
    policy("indentation", "    title: ROC AUC", "   title: ROC AUC", 13, 4, "not valid YAML"),
    policy("a field twice", "waivable: true", "title: Again", 16, 5, "title stands here a second time; keep one"),
    policy("a name that YAML takes for true", "title: Credit models", "on: push", 3, 1, "on is not text, and a field's name must be; put it in"),
    policy("a merge key", "title: Credit models", "<<: {a: 1}", 3, 1, "<< is not allowed in a document; write the fields out"),
    policy("not a number", "default: 0.7", "default: .nan", 5, 40, ".nan is no number that can be compared with; give a finite one"),
    policy("a number too large", "days: 365", "days: 99999999999999999", 31, 18, "larger than JSON's whole numbers"),
    policy("the first number too large", "days: 365", "days: 9007199254740992", 31, 18, "larger than JSON's whole numbers"),
    # Fields that are unknown or missing, level by level
    policy("another kind", "kind: Policy", "kind: Polcy", 1, 7, "kind must be Policy"),
    policy("a misspelt field", "steps:\n  - name: review", "step:\n  - name: review", 17, 1, "there is no field step here; expected one of calendar,"),
    policy("a misspelt field, guessed", "on_timeout:", "on_time_out:", 35, 1, "did you mean on_timeout?"),
    policy("approvals of old", "steps:\n  - name: review", "approvals:\n  - name: review", 17, 1, "there is no field approvals here; write steps: [{name"),
    policy("unknown in a parameter", "default: 0.7", "least: 0.7", 5, 31, "there is no field least here; expected one of default, description, type"),
    policy("unknown in a check", "with:", "params:", 10, 5, "there is no field params here; expected one of check, dataset, source, with"),
    policy("unknown in a requirement", "waivable: true", "waiveable: true", 16, 5, "did you mean waivable?"),
    policy("unknown in shows", "waivable: true", "shows: {value: '1', limits: '2'}", 16, 25, "did you mean limit?"),
    policy("unknown in a step", "title: Review", "titel: Review", 19, 5, "did you mean title?"),
    policy("unknown in a factor", "group: reviewer, count: 2", "role: reviewer, count: 2", 23, 10, "expected one of constraints, count, group"),
    policy("unknown in waivers", "max_days: 90", "days: 90", 24, 38, "expected one of approved_by, max_days"),
    policy("unknown in signature", "meanings: [I", "meaning: [I", 25, 13, "did you mean meanings?"),
    policy("unknown in release", "execute: on_demand", "when: on_demand", 28, 3, "expected one of execute, windows"),
    policy("unknown in a window", "timezone: Europe", "zone: Europe", 30, 53, "expected one of duration, rrule, starts, timezone"),
    policy("unknown in validity", "days: 365", "years: 1", 31, 12, "expected one of days, due, escalate_to, re_review_on"),
    policy("unknown in rollback", "  steps: [{name: return", "  step: [{name: return", 33, 3, "did you mean steps?"),
    policy("no name", "name: credit-production\n", "", 1, 1, "the document lacks name"),
    policy("a requirement without a title", "    title: ROC AUC\n", "", 12, 5, "entry 1 of requirements lacks title"),
    policy("a factor without a group", "group: reviewer, count: 2, ", "count: 2, ", 23, 9, "entry 1 of factors lacks group"),
    # Values of the wrong kind
    policy("a name with blanks", "name: credit-production", "name: Credit Production", 2, 7, "expected lower-case letters, digits and hyphens, as in"),
    policy("a parameter's name", "min_roc_auc: {", "Min ROC AUC: {", 5, 3, "expected lower-case letters, digits and underscores, as in min_roc_auc"),
    policy("a parameter's type", "type: number", "type: float", 5, 23, "type must be one of number, integer, text, flag"),
    policy("a default of another type", "default: 0.7", "default: high", 5, 40, "the default 'high' is not a number"),
    policy("a title that is a number", "title: ROC AUC", "title: 2026", 13, 12, "title must be of type string; put it in quotes"),
    policy("no title", "title: ROC AUC", "title: ''", 13, 12, "title must not be empty"),
    policy("no requirements", POLICY[POLICY.index("  - id") : POLICY.index("steps:\n  - name")], "  []\n", 12, 3, "requirements has 0 entries; expected at least 1"),
    policy("waivable maybe", "waivable: true", "waivable: maybe", 16, 15, "waivable must be of type boolean, that is true or false"),
    policy("count 0", "group: reviewer, count: 2", "group: reviewer, count: 0", 23, 34, "count is 0; expected at least 1"),
    policy("an unknown constraint", "[outside_owner_team]", "[senior]", 23, 51, "entry 1 of constraints must be one of outside_owner_team, not_policy_author"),
    policy("a constraint twice", "[outside_owner_team]", "[outside_owner_team, outside_owner_team]", 23, 50, "constraints names something twice"),
    policy("a bad duration", "3 business days", "3 weeks", 20, 10, "expected a time such as 36 hours, 2 days, 16 business hours or 3 business days"),
    policy("a duration without a unit", "3 business days", "3", 20, 10, "due must be of type string: a time such as 36 hours"),
    policy("an unknown order", "title: Credit models", "order: random", 3, 8, "order must be one of sequential, parallel"),
    policy("an unknown trigger", "[drift]", "[boredom]", 31, 38, "entry 1 of re_review_on must be one of dataset_recalled"),
    policy("a waiver without end", "max_days: 90", "max_days: 1000", 24, 48, "max_days is 1000; expected at most 730"),
    policy("materiality in other words", "immaterial}", "unimportant}", 26, 32, "card.contact* must be one of material, immaterial"),
    policy("a list for a mapping", "with: {threshold: 0.5}", "with: [threshold]", 10, 11, "with must be of type object, that is fields with values"),
    # Windows
    policy("a window that begins with a date", "2026-01-05T09:00", "2026-01-05", 30, 16, "expected local time of the first window, such as 2026-01-05T09:00"),
    policy("a window in month 13", "2026-01-05T09:00", "2026-13-05T09:00", 30, 16, "starts: month must be in 1..12"),
    policy("a window of business time", "8 hours", "8 business hours", 30, 44, "a window lasts plain hours or days, not business time"),
    policy("an unknown zone", "Europe/Berlin", "Europe/Berlim", 30, 63, "there is no time zone 'Europe/Berlim'; did you mean Europe/Berlin?"),
    policy("a bad rule", "FREQ=WEEKLY;", "FREQ=WEAKLY;", 30, 85, "rrule: the rule FREQ=WEAKLY;BYDAY=MO needs FREQ="),
    # Expressions: names
    condition("an unknown field", 'measurements["roc_auc"].valeu >= 0.7', 14, 42, "undefined field 'valeu': Measurement has metric, slice, value,"),
    condition("an unknown parameter", 'measurements["roc_auc"].value >= params.min_auc', 14, 58, "there is no parameter min_auc; the policy has min_roc_auc, validation_dataset"),
    condition("an unknown name", "metrics.size() > 1", 14, 19, "undeclared reference to 'metrics': expressions know request, model, version"),
    condition("an unknown function", "round(version.number) > 1", 14, 24, "undeclared reference to 'round'"),
    condition("an unknown method", "version.digest.trim() != ''", 14, 38, "undeclared reference to 'trim'"),
    condition("a bare name of a metric", "roc_auc >= 0.7", 14, 19, "undeclared reference to 'roc_auc'"),
    # Expressions: types
    condition("no yes or no", 'measurements["roc_auc"].value', 14, 19, "the expression gives a number; expected true or false"),
    condition("a whole number against a measured one", 'measurements["roc_auc"].value >= 1', 14, 49, "a number needs a decimal point, as in 0.0"),
    condition("a number against a count", "version.size_bytes < 1.5", 14, 38, "and a whole number none"),
    condition("a number against text", 'measurements["roc_auc"].value >= "0.7"', 14, 49, "found no matching overload for '_>=_' applied to '(double, string)'"),
    condition("a message against a number", 'measurements["roc_auc"] >= 0.7', 14, 43, "applied to '(Measurement, double)'"),
    condition("a flag against text", 'version.signature == "yes"', 14, 37, "applied to '(bool, string)'"),
    condition("a macro's body", 'findings.exists(f, f.severty == "high")', 14, 39, "undefined field 'severty': Finding has check, rule, severity"),
    # Expressions: form
    condition("an open bracket", "(version.number > 0", 14, 38, "the expression ends where more is expected; a bracket is open"),
    condition("a bracket too many", "version.number > 0)", 14, 37, "Syntax error: extraneous input ')'"),
    condition("half a comparison", "version.number >", 14, 35, "the expression ends where more is expected"),
    condition("assignment", 'model.risk_tier = "high"', 14, 35, "compare with =="),
    condition("and in words", "version.signature and version.present", 14, 37, "Syntax error"),
    condition("too deep", "(" * 40 + "true" + ")" * 40, 14, 19, "nested more than 32 levels deep; make it flatter"),
    condition("empty", "''", 14, 19, "satisfied_if must not be empty"),
    condition("a bare true", "true", 14, 19, "satisfied_if must be of type string; put it in quotes"),
    # Expressions: where in a text of several lines
    condition("in a literal block", "|\n      version.number > 0 &&\n      version.numbr < 9", 16, 14, "undefined field 'numbr'"),
    condition("in a folded block", ">-\n      version.number > 0 &&\n      version.numbr < 9", 16, 14, "undefined field 'numbr'"),
    condition("in a block with deeper lines", "|\n      [1, 2].all(n,\n          n > 0 && version.numbr < n)", 16, 27, "undefined field 'numbr'"),
    condition("over plain lines", "version.number > 0 &&\n      version.numbr < 9", 15, 14, "undefined field 'numbr'"),
    condition("in single quotes", "'model.name == ''x'' && version.numbr < 9'", 14, 50, "undefined field 'numbr'"),
    condition("in double quotes", '"model.name == \\"x\\" && version.numbr < 9"', 14, 50, "undefined field 'numbr'"),
    condition("at the end of a folded block", ">-\n      version.number > 0 &&\n      version.present &&\n", 16, 25, "the expression ends where more is expected"),
    policy("in applies_if", "waivable: true", "applies_if: champion.here", 16, 25, "applies_if: undefined field 'here': Version has present"),
    policy("in override_if", "waivable: true", "override_if: waivers", 16, 18, "override_if: the expression gives a LIST"),
    policy("in what is shown", "waivable: true", "shows: {value: version}", 16, 20, "value: the expression gives a Version; expected a number or a whole number or"),
    policy("in a step's condition", "title: Review", "applies_if: model.tier == 'high'", 19, 22, "applies_if: undefined field 'tier': Model has name, risk_tier, tags"),
    policy("in a step of a rollback", "[{name: return, ", "[{name: return, applies_if: request.why, ", 33, 45, "undefined field 'why': Request has id"),
    # What the words mean together
    policy("an id twice", "steps:\n  - name: review", '  - {id: roc-auc, title: B, how_to_satisfy: x, satisfied_if: "true"}\nsteps:\n  - name: review', 17, 10, "the id roc-auc is used twice"),
    policy("a step twice", "    title: Review", "    factors: [{group: a, count: 1}]\n  - name: review", 20, 11, "the name review is used twice"),
    policy("a factor called as a requirement", "id: roc-auc", "id: review-reviewer", 23, 9, "its result would be called review-reviewer, as another is"),
    policy("a parameter that is not there", "dataset: ${validation_dataset}", "dataset: ${data}", 9, 14, "${data} names no parameter; the policy has min_roc_auc, validation_dataset"),
    policy("a parameter deep in a check", "threshold: 0.5", "threshold: '${limit}'", 10, 23, "${limit} names no parameter"),
    policy("part of a value as a parameter", "${validation_dataset}", "x-${validation_dataset}", 9, 14, "a parameter stands for a whole value"),
    policy("a number for a data set", "dataset: ${validation_dataset}", "dataset: ${min_roc_auc}", 9, 14, "${min_roc_auc} is a number; a data set's name needs a parameter of type text"),
    policy("whoever reviews waives", "approved_by: waiver-board", "approved_by: reviewer", 23, 17, "reviewer also approves waivers; a waiver needs a group that does not review"),
    policy("content called immaterial", '"card.contact*"', "content", 26, 15, "content is what reviewers sign and is always material; take it out"),
    policy("policies called immaterial", '"card.contact*"', "policies.credit", 26, 15, "policies.credit is what reviewers sign"),
    policy("a rollback of nothing", POLICY[POLICY.index("steps:\n  - name") : POLICY.index("waivers:")], "", 26, 3, "rollback shortens the steps, and the policy has none"),
    policy("nobody escalates without a due time", "    due: 3 business days\n", "", 20, 18, "nobody is told as long as nothing is due; give due beside escalate_to"),
    policy("a timeout that never comes", "expires_after_days: 30\n", "", 34, 13, "on_timeout follows expires_after_days, which is not given"),
    policy("a validity of nothing", "days: 365, re_review_on: [drift]", "due: 3 days", 31, 11, "validity asks for no re-review; give days or re_review_on"),
    # Bindings and parameters
    binding("another kind", "kind: Binding", "kind: Bind", 1, 7, "kind must be Binding"),
    binding("an unknown field", "match:", "where:", 6, 1, "there is no field where here; expected one of kind, match, mode,"),
    binding("an unknown field in match", "models:", "model:", 6, 9, "did you mean models?"),
    binding("an unknown field in targets", "stages:", "stage:", 7, 11, "did you mean stages?"),
    binding("no targets", "targets: {stages: [Production]}\n", "", 1, 1, "the document lacks targets"),
    binding("empty targets", "{stages: [Production]}", "{}", 7, 10, "targets says nothing; expected at least one of aliases, stages"),
    binding("no stage in targets", "[Production]", "[]", 7, 19, "stages has 0 entries; expected at least 1"),
    binding("an unknown tier", "[high]", "[critical]", 6, 44, "entry 1 of risk_tiers must be one of low, medium, high"),
    binding("a mode that does not exist", "mode: enforce", "mode: report", 4, 7, "mode must be one of enforce, warn, shadow"),
    binding("a mode that YAML takes for false", "mode: enforce", "mode: off", 4, 7, "mode must be one of enforce, warn, shadow"),
    binding("a date that does not exist", "2026-02-01", "2026-02-30", 5, 8, "2026-02-30 is no valid timestamp; if text is meant, put it in quotes"),
    binding("a date that does not exist, in quotes", "2026-02-01", '"2026-02-30"', 5, 8, "since: day is out of range for month; give a date such as 2026-01-31"),
    binding("a date of another country", "2026-02-01", "01.02.2026", 5, 8, "expected a date such as 2026-01-31, or a moment in UTC such as 2026-01-31T09:00Z"),
    binding("a moment without a zone", "2026-02-01", "2026-02-01T09:00:00", 5, 8, "or a moment in UTC such as 2026-01-31T09:00Z"),
    binding("a parameter that is a list", "min_roc_auc: 0.75", "min_roc_auc: [0.75]", 8, 27, "min_roc_auc must be of type string or number"),
    binding("parameters that are a number", "{min_roc_auc: 0.75}", "7", 8, 13, "parameters must be of type object or string: values of its own such as"),
    parameters("no values", "values: {min_roc_auc: 0.75}\n", "", 1, 1, "the document lacks values"),
    parameters("a nested value", "min_roc_auc: 0.75", "min_roc_auc: {low: 0.75}", 4, 23, "min_roc_auc must be of type string or number"),
    parameters("an unknown field", "policy:", "for:", 3, 1, "there is no field for here; expected one of kind, name, policy, values"),
]  # fmt: skip
