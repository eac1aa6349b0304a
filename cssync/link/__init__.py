"""Records of several systems -> one account: explicit keys, CRM-native links, unique domains; names only suggest."""

from cssync.link.engine import LinkReport, link

__all__ = ["LinkReport", "link"]
