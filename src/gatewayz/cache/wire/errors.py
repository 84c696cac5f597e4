"""Why a command had no reply. To the cache each is a miss.

WireError
├── NotConnected   there is no link, and none could be made just now
├── LinkLost       the link broke before the reply came; whether the command ran is not known
├── Late           the reply did not come in time; it will be read and thrown away
└── TooMuch        so much is under way already that nothing more is sent
"""


class WireError(Exception):
    """Any failure of the connection itself. What Redis refuses is a reply, not one of these."""


class NotConnected(WireError):
    pass


class LinkLost(WireError):
    pass


class Late(WireError):
    pass


class TooMuch(WireError):
    pass
