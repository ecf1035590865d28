#!/usr/bin/env bash
# Puts a release of the host program and its configuration in place. Run by the install document, as root, from the
# unpacked package; never by user data, so that a new release does not restart the host. What runs keeps the old file,
# what starts next takes the new one.
set -euo pipefail

: "${IBEX_RELEASE:?}" "${IBEX_CONFIGURATION:?}" "${AWS_REGION:?}"
package=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly package HOME_DIR=/opt/ibex
release="$HOME_DIR/releases/$IBEX_RELEASE"

# First of all: a program that does not parse, or a configuration that cannot be read, changes nothing.
node --check "$package/bin/ibex.cjs"
umask 027
configuration=$(mktemp /etc/ibex/ibex.json.XXXXXX)
trap 'rm -f "$configuration"' EXIT
aws ssm get-parameter --region "$AWS_REGION" --name "$IBEX_CONFIGURATION" --query Parameter.Value --output text \
  >"$configuration"
node -e 'JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"))' "$configuration"

curl --silent --show-error --fail --retry 5 --max-time 60 -o /etc/ibex/rds-global-bundle.pem.new \
  https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
install -o root -g root -m 0644 /etc/ibex/rds-global-bundle.pem.new "$HOME_DIR/rds-global-bundle.pem"
rm -f /etc/ibex/rds-global-bundle.pem.new

install -d -o root -g root -m 0755 "$release" "$release/bin"
install -o root -g root -m 0755 "$package/bin/ibex.cjs" "$release/bin/ibex"
install -o root -g postgres -m 0640 "$configuration" /etc/ibex/ibex.json

install -o root -g root -m 0755 "$package/metrics.sh" "$HOME_DIR/metrics.sh"
for unit in "$package"/systemd/*.service "$package"/systemd/*.timer; do
  install -o root -g root -m 0644 "$unit" "/etc/systemd/system/$(basename "$unit")"
done
install -o root -g root -m 0644 "$package/tmpfiles.conf" /etc/tmpfiles.d/ibex.conf
install -o root -g root -m 0644 "$package/logrotate.conf" /etc/logrotate.d/ibex
systemd-tmpfiles --create /etc/tmpfiles.d/ibex.conf
install -o root -g root -m 0644 "$package/sysctl.conf" /etc/sysctl.d/60-ibex.conf
systemctl restart systemd-sysctl.service
systemctl daemon-reload

# One rename: there is no moment without a program.
ln -sfn "$release/bin" "$HOME_DIR/bin.new"
mv -T "$HOME_DIR/bin.new" "$HOME_DIR/bin"
ln -sfn "$HOME_DIR/bin/ibex" /usr/local/bin/ibex

systemctl enable --now --quiet ibex-grow.timer ibex-metrics.timer
# The supervisor may be killed at any time, and Bucardo goes on meanwhile: so the new program takes over here.
systemctl enable --quiet ibex-supervise.service
systemctl restart ibex-supervise.service

# The last three stay, for a way back.
find "$HOME_DIR/releases" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +4 |
  cut -d ' ' -f 2- | xargs -r rm -rf
echo "installed release $IBEX_RELEASE"
