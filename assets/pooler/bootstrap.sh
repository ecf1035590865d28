#!/usr/bin/env bash
# Makes a plain Debian 13 machine fit for the pooler: PgBouncer, stunnel, SSM agent. Programs, units and configuration
# come by the install document, so that none of them ever restarts a machine that serves. Runs as user data at the first
# boot, behind ../bootstrap/common.sh; a second run changes nothing.
set -euo pipefail

: "${IBEX_REGION:?}" "${IBEX_SIGNAL_URL:?}" "${IBEX_SSM_AGENT_VERSION:?}" "${IBEX_SSM_AGENT_SHA256?}"

readonly OLDEST_PGBOUNCER=1.21

begin 'package lists'
# An upgrade of PgBouncer drops every client; docs/pooler.md says how to bring one, machine by machine.
systemctl disable --now apt-daily.timer apt-daily-upgrade.timer || true
update_lists
install_packages ca-certificates curl

begin 'SSM agent'
# First of the parts that matter: whatever fails afterwards can be looked at in a session.
install_agent

begin 'packages'
# Debian's own unit would start PgBouncer with a configuration that is not ours.
ln -sfn /dev/null /etc/systemd/system/pgbouncer.service
install_packages awscli jq openssl pgbouncer postgresql-client stunnel4 unzip
version=$(dpkg-query -W -f '${Version}' pgbouncer)
dpkg --compare-versions "$version" ge "$OLDEST_PGBOUNCER" ||
  { echo "pgbouncer $version breaks prepared statements; $OLDEST_PGBOUNCER or newer is needed: use Debian 13" && exit 1; }

succeed
