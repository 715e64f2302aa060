"""The one exception that means: the user can mend this."""


class InputProblem(Exception):
    """A problem in the user's input, with one message a problem.

    Parameters
    ----------
    problems
        Lines of the form ``samples.tsv:7 matrix: what is wrong; what to do``.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(problems))
