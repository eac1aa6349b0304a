"""What two records can be recognised by: ids, company domains, company names."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tldextract import TLDExtract

_FREE_MAIL = """
gmail.com googlemail.com yahoo.com yahoo.co.jp ymail.com outlook.com outlook.jp hotmail.com hotmail.co.jp live.com
live.jp msn.com icloud.com me.com mac.com aol.com gmx.de gmx.net gmx.com web.de mail.com mail.ru yandex.ru yandex.com
proton.me protonmail.com zoho.com qq.com 163.com 126.com sina.com naver.com daum.net hanmail.net docomo.ne.jp
ezweb.ne.jp au.com softbank.ne.jp nifty.com biglobe.ne.jp ocn.ne.jp so-net.ne.jp plala.or.jp orange.fr free.fr
laposte.net wanadoo.fr t-online.de freenet.de libero.it virgilio.it uol.com.br bol.com.br rediffmail.com fastmail.com
hey.com tutanota.com comcast.net verizon.net att.net btinternet.com
"""
_SHARED_HOSTS = """
facebook.com linkedin.com twitter.com x.com instagram.com youtube.com github.io wordpress.com blogspot.com wixsite.com
weebly.com squarespace.com shopify.com myshopify.com medium.com notion.site google.com webflow.io herokuapp.com
netlify.app vercel.app ameblo.jp jimdo.com jimdofree.com studio.site peraichi.com fc2.com
"""
NOBODYS_DOMAINS = frozenset((_FREE_MAIL + _SHARED_HOSTS).split())
"""Free-mail and shared hosts: sharing one says nothing about two records."""

_registered = TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=False)
"""Knows the public suffixes from the list inside the package; it never asks the network."""

LEGAL_FORMS = re.compile(
    r"株式会社|有限会社|合同会社|合資会社|合名会社|一般社団法人|一般財団法人|\((?:株|有|合|同)\)"
    r"|(?<!\w)(?:inc|incorporated|corp|corporation|co|company|ltd|limited|llc|llp|plc|gmbh|ag|kg|ug|se|sa|sas|sarl|srl|spa"
    r"|bv|nv|ab|oy|as|aps|pty|pte|kk|k\.k|co\.,? ?ltd)\.?(?!\w)"
)


@lru_cache(maxsize=100_000)
def company_domain(value: str) -> str | None:
    """Return the registered domain of a host name, URL or mail address, lower case.

    None for free-mail and shared hosts, which identify nobody, and for what is no domain.
    """
    host = value.strip().lower().rpartition("@")[2].removeprefix("*.")
    found = _registered(host)
    domain = found.top_domain_under_public_suffix
    if not domain and not found.suffix and found.subdomain:
        domain = f"{found.subdomain.rpartition('.')[2]}.{found.domain}"
    if not domain or domain in NOBODYS_DOMAINS:
        return None
    return domain


@lru_cache(maxsize=100_000)
def company_name(value: str) -> str:
    """Return a company name for comparison: NFKC, case-folded, without company-form words, spaces and punctuation."""
    folded = unicodedata.normalize("NFKC", value).casefold()
    bare = LEGAL_FORMS.sub(" ", folded)
    return "".join(c for c in bare if c.isalnum()) or "".join(c for c in folded if c.isalnum())
