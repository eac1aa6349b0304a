"""cssync init."""

from __future__ import annotations

import click

from cssync.cli.context import Call, example, shared

TEMPLATE = """\
# What cssync reads, judges and writes back. Every key is described in docs/configuration.md.
# Run `cssync check` after each edit: it finds every mistake at once and says what to do.

workspace: my-team                     # a-z, 0-9, _ and -
timezone: Asia/Tokyo                   # when a business day begins and ends
currency: JPY                          # for money whose record names no currency
store: cssync.db                       # everything that was read; private to its owner

# One entry for each system. Secrets are never written here, only where they are:
# env:NAME | file:PATH (mode 0600) | cmd:COMMAND | keyring:SERVICE/USER
connections:
  crm:
    connector: hubspot
    token: env:HUBSPOT_TOKEN           # a service key; `cssync check` names the scopes it lacks
  # sales:
  #   connector: salesforce
  #   instance_url: https://my-team.my.salesforce.com
  #   client_id: env:SALESFORCE_CLIENT_ID
  #   client_secret: env:SALESFORCE_CLIENT_SECRET
  # desk:
  #   connector: zendesk
  #   subdomain: my-team
  #   client_id: env:ZENDESK_CLIENT_ID
  #   client_secret: env:ZENDESK_CLIENT_SECRET

# Your own fields: vendor field -> where it belongs. `cssync fields crm` lists what there is.
# fields:
#   crm.companies: {renewal_date: contract.end_date, seats: contract_line.quantity}

# Who wins where two systems disagree.
# masters: {account.name: crm, contract: crm}

# Rule packs: `standard` comes with cssync, ./rules is a folder of your own.
rules: [standard]

# What is written back. `cssync provision` creates the fields, `cssync plan` shows every write before it happens.
writeback:
  crm:
    to: companies
    fields:
      cs_health_score: health.score
      cs_health_band: health.band
      # cs_health_trend_30d: health.trend
      # cs_health_reasons: health.reasons           # what takes points off, in words
      # cs_health_coverage: health.coverage
      # cs_health_data_status: health.data_status
      # cs_health_as_of: health.as_of
      # cs_renewal_date: renewal.date
      # cs_notice_deadline: renewal.notice_deadline
      # cs_renewal_risk: renewal.risk
      # cs_renewal_forecast: renewal.forecast
      # cs_arr_at_risk: renewal.arr_at_risk
      # cs_arr: renewal.arr
      # cs_touch_tier: touch.tier
      # cs_upsell_signal: upsell.signal
      # cs_upsell_arr_potential: upsell.arr_potential
      # cs_onboarding_stage: onboarding.stage
      # cs_onboarding_risk: onboarding.risk
      # cs_first_value_date: onboarding.first_value_date
      # cs_risk_flags: risk.flags
    tasks: true
    policy: unless-edited              # a value that a person edited stays

# A plan that changes more than this is held until `cssync approve`; share: of the vendor's daily API calls.
limits: {changes: 20%, share: 50%}
"""


@click.command(epilog=example("cssync init", "cssync --config acme.yaml init"))
@shared
def init(call: Call) -> int:
    """Write a commented cssync.yaml to start from.

    An existing file is never touched. Next: put the credentials where the file says, then `cssync check`.
    """
    from cssync.errors import ConfigError

    try:
        with call.config.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise ConfigError(
            f"{call.config} exists already", kept="it is unchanged", fix="edit it, or name another with --config PATH"
        ) from None
    except OSError as error:
        raise ConfigError(f"{call.config} cannot be written: {error.strerror}") from None
    call.show({"written": str(call.config)}, [f"wrote {call.config}", "next: edit it, then run `cssync check`"])
    return 0
