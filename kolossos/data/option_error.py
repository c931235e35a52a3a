"""Bad input that one option would mend."""

from kolossos.errors import InputError


class OptionError(InputError):
    """Says what is wrong; ``option`` is the option of `prepare` to change, shown by an interface in its own way."""

    def __init__(self, message: str, option: str) -> None:
        super().__init__(message, option)  # both, so that it travels between processes
        self.option = option

    def __str__(self) -> str:
        return self.args[0]
