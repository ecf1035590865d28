#!/usr/bin/env bash
# Puts programs, units and configuration of the pooler in place. Run by the install document, as root, from the unpacked
# package. What serves goes on: PgBouncer reads its new configuration and keeps every client and its side; a change of
# its unit or of pooler.sh takes effect when it is started next.
set -euo pipefail

: "${IBEX_CONFIGURATION:?}" "${IBEX_INSTANCE:?}" "${AWS_REGION:?}"
package=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly package HOME_DIR=/opt/ibex-pooler
readonly AUTHORITIES=$HOME_DIR/rds-global-bundle.pem

install -d -o root -g root -m 0755 "$HOME_DIR" /etc/ibex-pooler
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# First of all: a configuration that cannot be read changes nothing.
aws ssm get-parameter --region "$AWS_REGION" --name "$IBEX_CONFIGURATION" --query Parameter.Value --output text \
  >"$work/pooler.json"
jq -e '.sides.target.host' "$work/pooler.json" >/dev/null
curl --silent --show-error --fail --retry 5 --max-time 60 -o "$work/authorities" \
  https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem

install -o root -g root -m 0644 "$work/authorities" "$AUTHORITIES"
install -o root -g root -m 0644 "$work/pooler.json" /etc/ibex-pooler/pooler.json
echo "$IBEX_INSTANCE" >"$work/instance"
install -o root -g root -m 0644 "$work/instance" /etc/ibex-pooler/instance
install -o root -g root -m 0644 "$package/pgbouncer.ini" "$package/hba.conf" "$package/stunnel.conf" "$HOME_DIR"
# By rename: the shell that runs the watch reads on in the old file.
install -o root -g root -m 0755 "$package/pooler.sh" "$HOME_DIR/pooler.sh.new"
mv "$HOME_DIR/pooler.sh.new" "$HOME_DIR/pooler.sh"
install -o root -g root -m 0644 "$package"/systemd/*.service "$package"/systemd/*.timer /etc/systemd/system
systemctl daemon-reload

if systemctl is-active --quiet ibex-pooler.service; then
  runuser -u postgres -- "$HOME_DIR/pooler.sh" reload
fi
systemctl enable --quiet ibex-pooler-watch.service ibex-pooler-proof.service
for unit in ibex-pooler.service ibex-pooler-console.service ibex-pooler-users.timer ibex-pooler-proof.timer; do
  systemctl enable --now --quiet "$unit" || { journalctl --no-pager --output=cat --lines=5 --unit="$unit" && exit 1; }
done
systemctl restart ibex-pooler-watch.service
runuser -u postgres -- "$HOME_DIR/pooler.sh" status
