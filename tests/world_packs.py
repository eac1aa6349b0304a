"""Packs for random worlds: every key of the language that remembers something from day to day, with values to choose
from. An edit of the rules is another choice."""

from __future__ import annotations

import random
from collections.abc import Mapping

from cssync.rules import RuleSet
from cssync.rules.faults import Source
from cssync.rules.packs import read_rules

Choice = Mapping[str, str]

CHOICES: Mapping[str, tuple[str, ...]] = {
    "who": ("", "accounts: status is missing or status != 'churned'\n"),
    "late": ("", "max_age: {tickets: 1d, surveys: 1d}\n", "max_age: {tickets: 6d}\n"),
    "window": ("10d", "3d"),
    "least": ("", ", at_least: 2"),
    "old": ("6h", "30h"),
    "words": ("[cancel, 解約]", "[cancel]", "[refund, cancel]"),
    "coverage": ("50%", "0%", "80%"),
    "green": ("75", "60"),
    "support": ("40", "0", "10"),
    "steep": ("5", "9"),
    "voice": ("20", "35"),
    "voice_missing": ("missing: hold 7d, ", "missing: ignore, ", "", "missing: hold 2d, "),
    "use": ("30", "15"),
    "use_applies": ("", "applies: seats > 4, "),
    "needs": ("needs: [csat], ", "needs: [csat, open], ", ""),
    "caps": (
        "",
        "  caps: [{at_most: 45, when: urgent > 1, because: '{urgent} urgent'}]\n",
        "  caps: [{at_most: 0, when: notice_given, because: notice}, {at_most: 70, when: csat < 40, because: low}]\n",
    ),
    "models": (
        "",
        "  models: {small: {when: segment = 'smb', weights: {use: 0}, bands: {red: 0, yellow: 40, green: 60}}}\n",
        "  models: {new: {when: days_since(first_contract_date) < 90, weights: {voice: 0}, coverage: 20%}}\n",
    ),
    "hysteresis": (
        "  hysteresis: {margin: 3, confirm: 3d}\n",
        "",
        "  hysteresis: {margin: 8, confirm: 2d}\n",
    ),
    "override": ("  override: {band: override_band, reason: override_reason, until: override_until}\n", ""),
    "trend": (
        "  trend: {window: 3d, before: 3d, improving: 1, declining: -1}\n",
        "  trend: {window: 4d, before: 6d, improving: 5, declining: -5}\n",
        "",
    ),
    "roll_up": ("", "  roll_up: arr_weighted\n", "  roll_up: simple_mean\n", "  roll_up: worst\n"),
    "F": ("for: 2d, ", "", "for: 3d, keep: 2d, "),
    "K": ("keep: 3d, ", "cooldown: 4d, "),
    "C": ("cooldown: 3d, severity: open, ", "cooldown: 9d, "),
    "more": ("1", "2"),
    "task": ("", "for: 2d, ", "cooldown: 3d, "),
    "done": ("", ", done_when: open = 0"),
    "owner": ("csm", "manager"),
    "tiers": ("", ", tiers: [high, low]"),
    "gone_signal": ("", "#"),
    "days": ("60", "30"),
    "due": ("60", "45"),
    "sum": (", sum_over: renewal_events", ""),
    "renewal_done": (", done_when: notice_given or won > 0", ""),
    "ago": ("2d", "5d"),
    "high": ("1000", "3000"),
    "tiering": ("margin: 10%", "margin: 0%, at_most: once per quarter"),
    "lift": ("", ", onboarding: 40d one tier up"),
    "fair": ("open", "open", "open", "{winsorised: open, at: 60}", "{winsorised: open, at: 70, per: status}"),
    "use_fair": ("adoption", "adoption", "adoption", "{winsorised: adoption, at: 60, per: segment}"),
    "packs": ("main renew past touch", "main renew past touch", "main renew past", "main touch"),
}  # fmt: skip

MAIN = """pack: main
{who}{late}lists:
  words: {words}
  parts: [feature:a, feature:b, feature:c]
features:
  open: {{count: tickets, where: "status in ('new', 'open')"}}
  recent: {{count: tickets, within: {window}}}
  urgent: {{count: tickets, where: "priority = 'urgent' and status != 'solved'", older_than: {old}}}
  csat: {{avg: surveys.score, within: 90d{least}}}
  leaving: {{count: tickets, where: "mentions(subject, words)", within: 30d}}
  phrases: {{mentioned: tickets.subject, of: words, most: 2}}
  seen: {{present: usage.metric, of: parts, where: value > 0, within: {window}, most: 3}}
  unseen: {{absent: usage.metric, of: parts, where: value > 0, within: {window}, most: 3}}
  daily: {{avg: usage.active_users, within: {window}}}
  adoption: daily / seats
  newest: {{max: tickets.opened_at}}
  turned: {{since: main.band}}
  ids: {{last: tickets.source_id, where: "status in ('new', 'open')", most: 3}}
  fair: {fair}
  use_fair: {use_fair}
score:
  coverage: {coverage}
  bands: {{red: 0, yellow: 50, green: {green}}}
  measures:
    support:
      weight: {support}
      curve: {{of: fair, at: {{0: 100, {steep}: 0}}}}
      because: "{{open}} open, {{fair}} in comparison, {{recent}} recent"
    voice: {{weight: {voice}, {voice_missing}curve: {{of: csat, at: {{0: 0, 100: 100}}}}, because: "{{csat}}"}}
    use: {{weight: {use}, {use_applies}missing: hold 7d, curve: {{of: use_fair, at: {{0%: 0, 100%: 100}}}}}}
    loyal: {{weight: 10, {needs}first: ["20 if leaving > 0", "60 if csat < 50", "100 otherwise"]}}
{caps}{models}{hysteresis}{override}{trend}{roll_up}results:
  worth: arr
  quiet: {{first: ["true if leaving = 0 and daily > 1"]}}
  said: phrases
  last: newest
  stage: {{options: [early, late], first: ["early if days_since(first_contract_date) < 60", "late otherwise"]}}
  peers: products_owned
signals:
  F: {{when: open > {more}, {F}because: "{{open}} open ({{ids}})"}}
  K: {{when: main.band = 'red', {K}because: "{{main.score}}"}}
  C: {{when: urgent > 0, {C}because: "{{urgent}} urgent, {{unseen}} unseen"}}
  {gone_signal}G: {{when: leaving > 0 or daily < 2, because: "{{phrases}} {{seen}}"}}
  N: {{when: days_since(turned) < 1, because: "{{main.band}} since {{turned}}"}}
  P: {{when: peer_share > 20%, because: "{{peer_product}}"}}
tasks:
  E: {{when: open > {more}, {task}once_per: episode, title: "{{open}} of {{name}}", due: in 2 business days,
      owner: {owner}{tiers}{done}}}
  M: {{when: recent > 1, once_per: month, title: "{{recent}}", due: in 3 business days}}
  Q: {{when: main.band = 'red', once_per: quarter, title: "{{main.score}}", due: in 2 business days, copy: manager}}
"""
RENEW = """pack: renew
for_each: renewal_event
features:
  won: {{count: opportunities, per: renewal_event, where: is_won}}
results:
  date: renews_on
  at_stake: {{value: renewal_arr{sum}}}
  risk: {{options: [low, high], first: ["high if main.band = 'red' or notice_given", "low if main.band = 'green'"]}}
tasks:
  T: {{when: days_until(anchor) between 0 and {days} and not notice_given, once_per: renewal_event,
      title: "{{renews_on}} {{renewal_arr}}", due: anchor - {due}{renewal_done}}}
  U: {{when: days_until(anchor) between 0 and 20, once_per: renewal_event, title: "soon {{main.score}}",
      body: "{{main.reasons}}", due: anchor - 10}}
  N: {{when: notice_given, once_per: event_episode, title: "{{notice_received_on}}", due: in 2 business days}}
  A: {{when: arr is missing, once_per: episode, title: no prices, due: in 5 business days}}
"""
PAST = """pack: past
signal_list: flags
features:
  before: {{past: main.score, ago: {ago}}}
  lost_before: {{past: main.lost_points, ago: {ago}}}
  began: {{since: main.band}}
  lost: before - main.score
results:
  drop: lost
  long: days_since(began)
signals:
  D: {{when: lost > 5, cooldown: 5d, severity: lost, because: "{{before}} before, {{main.score}} now; {{lost_before}}"}}
  B: {{when: days_since(began) < 2 and main.band != 'green', because: "since {{began}}"}}
"""
HEADING = """  H: {{when: "main.trend = 'declining'", because: "{{main.trend}}"}}
"""
TOUCH = """pack: touch
tiers: {{override: touch_tier_override, of: arr of the ultimate parent, currency: EUR, high: {high}, low: 300,
         {tiering}{lift}}}
"""


def choose(rng: random.Random) -> dict[str, str]:
    """Choose a value of every key."""
    return {name: rng.choice(values) for name, values in CHOICES.items()}


def edit(rng: random.Random, choice: Choice) -> dict[str, str]:
    """Choose one to three keys anew."""
    names = rng.sample(sorted(CHOICES), rng.randint(1, 3))
    return {**choice, **{name: rng.choice(CHOICES[name]) for name in names}}


def rules(choice: Choice) -> RuleSet:
    """Read the packs of a choice."""
    past = PAST + (HEADING if choice["trend"] else "")
    texts = {"main": MAIN, "renew": RENEW, "past": past, "touch": TOUCH}
    named = choice["packs"].split()
    tiers = choice["tiers"] if "touch" in named else ""
    return read_rules([Source(f"{n}.yaml", texts[n].format_map({**choice, "tiers": tiers})) for n in named])
