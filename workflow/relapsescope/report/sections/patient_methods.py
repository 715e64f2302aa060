"""The end of a patient's page: methods, versions, the rules, and the cells behind its numbers."""

from markupsafe import Markup

from relapsescope.mechanisms.verdicts import Rules, read_rules
from relapsescope.report.context import Context, PatientContext, Section

NAMED = ("python", "snakemake", "numpy", "pandas", "scipy", "scanpy", "scvi-tools")


def build_methods(context: PatientContext) -> Section:
    """Return how it was done in a paragraph, with the versions that did it."""
    versions = {name: context.versions[name] for name in NAMED if name in context.versions}
    return Section(
        "Methods and versions",
        "methods",
        context.render("patient_methods.html", config=context.config, versions=versions),
    )


def build_rules(context: Context) -> Section:
    """Return the rules of the mechanisms, the same for every patient."""
    return Section("Rules of the mechanisms", "rules", rules_html(context))


def rules_html(context: Context) -> Markup:
    """Return the rules as a table from state to verdict, and the search for the primary one."""
    rules = read_rules()
    return context.render("rules.html", rules=rules, steps=_steps(rules))


def build_numbers(context: PatientContext) -> Section:
    """Return the table cells that the numbers of this page link to; made last."""
    return Section(
        "The numbers behind this page",
        "numbers",
        context.render("patient_numbers.html", cells=context.citations.listed()),
    )


def _steps(rules: Rules) -> list[dict[str, str]]:
    return [
        {
            "title": rules.title(step.mechanism),
            "when": "; or ".join(
                rules.mechanisms[step.mechanism]["states"][state]["when"] for state in step.states
            ),
            "sufficient": step.sufficient,
            "because": step.because,
        }
        for step in rules.primary
    ]
