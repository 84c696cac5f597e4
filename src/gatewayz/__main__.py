"""`gatewayz` and `python -m gatewayz`."""


def main() -> None:
    # Imported here because every worker process imports this module again when it is spawned, and has no use for
    # the commands and the 40 MB that they bring.
    from gatewayz.cli.commands import cli  # noqa: PLC0415

    cli()


if __name__ == "__main__":
    main()
