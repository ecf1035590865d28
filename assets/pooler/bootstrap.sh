#!/usr/bin/env bash
# Makes a plain Debian 13 machine fit for the pooler: PgBouncer, stunnel, SSM agent. Programs, units and configuration
# come by the install document, so that none of them ever restarts a machine that serves. Runs as user data at the first
# boot; a second run changes nothing. Tells CloudFormation how it ended.
set -euo pipefail

: "${IBEX_REGION:?}" "${IBEX_SIGNAL_URL:?}" "${IBEX_SSM_AGENT_VERSION:?}"

readonly LOG=/var/log/ibex-bootstrap.log
readonly OLDEST_PGBOUNCER=1.21
export DEBIAN_FRONTEND=noninteractive
step='start'

exec >>"$LOG" 2>&1

signal() { # signal SUCCESS|FAILURE REASON
  local reason
  reason=$(tr -cs '[:alnum:] .,:;/_()=+-' ' ' <<<"$2" | cut -c 1-900)
  printf '{"Status":"%s","Reason":"%s","UniqueId":"bootstrap","Data":"%s"}' "$1" "$reason" "$HOSTNAME" |
    curl --silent --show-error --fail --retry 5 --retry-all-errors --max-time 60 -X PUT -H 'Content-Type:' \
      --data-binary @- "$IBEX_SIGNAL_URL"
}

ended() {
  local status=$?
  if ((status == 0)); then return; fi
  echo "failed in step $step with status $status"
  signal FAILURE "$step failed with status $status: $(tail -n 4 "$LOG" | head -n 3)" || true
}
trap ended EXIT

again() { # again COMMAND…: what crosses the network is tried five times
  local try
  for try in 1 2 3 4; do
    if "$@"; then return; fi
    echo "try $try failed: $*"
    sleep $((try * 5))
  done
  "$@"
}

step='package lists'
# An upgrade of PgBouncer drops every client; docs/pooler.md says how to bring one, machine by machine.
systemctl disable --now apt-daily.timer apt-daily-upgrade.timer || true
again apt-get update -q -o APT::Update::Error-Mode=any
again apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 ca-certificates curl

step='SSM agent'
# First of the parts that matter: whatever fails afterwards can be looked at in a session.
if [[ $(dpkg-query -W -f '${Version}' amazon-ssm-agent 2>/dev/null || true) != "$IBEX_SSM_AGENT_VERSION"* ]]; then
  again curl --silent --show-error --fail --location --max-time 300 -o /tmp/amazon-ssm-agent.deb \
    "https://s3.$IBEX_REGION.amazonaws.com/amazon-ssm-$IBEX_REGION/$IBEX_SSM_AGENT_VERSION/debian_amd64/amazon-ssm-agent.deb"
  dpkg -i /tmp/amazon-ssm-agent.deb
  rm -f /tmp/amazon-ssm-agent.deb
fi
systemctl enable --now amazon-ssm-agent

step='packages'
# Debian's own unit would start PgBouncer with a configuration that is not ours.
ln -sfn /dev/null /etc/systemd/system/pgbouncer.service
again apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 \
  awscli jq openssl pgbouncer postgresql-client stunnel4 unzip
version=$(dpkg-query -W -f '${Version}' pgbouncer)
dpkg --compare-versions "$version" ge "$OLDEST_PGBOUNCER" ||
  { echo "pgbouncer $version breaks prepared statements; $OLDEST_PGBOUNCER or newer is needed: use Debian 13" && exit 1; }

step='signal'
# The address is valid for some hours; a run long after the deployment has nobody to tell.
signal SUCCESS ready || echo 'nobody waits for the signal any more'
