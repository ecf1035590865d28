#!/usr/bin/env bash
# Makes a plain Debian 12 machine a Bucardo host: data volume, PostgreSQL, Bucardo, Node.js, SSM agent. The program and
# its configuration come later, by the install document. Runs as user data at the first boot, behind
# ../bootstrap/common.sh; a second run changes nothing.
set -euo pipefail

: "${IBEX_REGION:?}" "${IBEX_VOLUME_ID:?}" "${IBEX_SIGNAL_URL:?}"
: "${IBEX_HOST_POSTGRES:?}" "${IBEX_CLIENT_POSTGRES:?}"
: "${IBEX_NODE_URL:?}" "${IBEX_NODE_SHA256:?}" "${IBEX_SSM_AGENT_VERSION:?}" "${IBEX_SSM_AGENT_SHA256?}"

readonly DATA=/database
readonly DEBIAN_POSTGRES=15

put() { # put FILE: writes standard input there, unless it stands there already
  local file=$1 text
  text=$(cat)
  if [[ -f $file ]] && [[ $(<"$file") == "$text" ]]; then return; fi
  mkdir -p "${file%/*}"
  printf '%s\n' "$text" >"$file.new"
  mv "$file.new" "$file"
}

begin 'package lists'
# A restart of PostgreSQL by an upgrade in mid-migration is a risk that a host of some weeks does not need.
systemctl disable --now apt-daily.timer apt-daily-upgrade.timer || true
update_lists
install_packages ca-certificates curl xz-utils xfsprogs unzip logrotate awscli postgresql-common

begin 'SSM agent'
# First of the parts that matter: whatever fails afterwards can be looked at in a session.
install_agent

begin 'data volume'
# By its id: /dev/nvme1n1 may be any volume.
readonly DEVICE="/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${IBEX_VOLUME_ID/-/}"
for ((waited = 0; waited < 900; waited += 5)); do
  if [[ -b $DEVICE ]]; then break; fi
  sleep 5
done
[[ -b $DEVICE ]] || { echo "volume $IBEX_VOLUME_ID is not attached after 900 s: no $DEVICE" && exit 1; }
content=$(blkid -p -o value -s TYPE -s PTTYPE "$DEVICE" || true)
case $content in
'') mkfs.xfs -q -L ibex "$DEVICE" ;;
xfs) ;;
*) echo "volume $IBEX_VOLUME_ID holds $content, not XFS; it is left alone" && exit 1 ;;
esac
mkdir -p "$DATA"
grep -q " $DATA xfs " /etc/fstab ||
  echo "$DEVICE $DATA xfs defaults,noatime,nofail,x-systemd.device-timeout=300 0 0" >>/etc/fstab
systemctl daemon-reload
mountpoint -q "$DATA" || mount "$DATA"
xfs_growfs "$DATA" >/dev/null

begin 'package sources'
# The key of the PostgreSQL project comes with Debian's own, signed postgresql-common.
readonly KEY=/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc
pgdg() { # pgdg NAME HOST SUITE PACKAGES: a source, and pins that take these packages from it and no other
  put "/etc/apt/sources.list.d/$1.sources" <<END
Types: deb
URIs: https://$2/pub/repos/apt
Suites: $3
Components: main
Architectures: amd64
Signed-By: $KEY
END
  put "/etc/apt/preferences.d/$1" <<END
Package: *
Pin: origin "$2"
Pin-Priority: -1

Package: $4
Pin: origin "$2"
Pin-Priority: 600
END
}
if ((IBEX_HOST_POSTGRES != DEBIAN_POSTGRES)); then
  major=$IBEX_HOST_POSTGRES
  pgdg pgdg-archive apt-archive.postgresql.org bookworm-pgdg-archive \
    "postgresql-$major postgresql-client-$major postgresql-plperl-$major"
fi
if ((IBEX_CLIENT_POSTGRES != DEBIAN_POSTGRES)); then
  pgdg pgdg apt.postgresql.org bookworm-pgdg "postgresql-client-$IBEX_CLIENT_POSTGRES libpq5"
fi
update_lists

begin 'PostgreSQL and Bucardo'
# The cluster is made below, on the data volume, and the agent alone starts and stops Bucardo.
put /etc/postgresql-common/createcluster.d/ibex.conf <<<'create_main_cluster = false'
ln -sfn /dev/null /etc/systemd/system/bucardo.service
install_packages "postgresql-$IBEX_HOST_POSTGRES" "postgresql-plperl-$IBEX_HOST_POSTGRES" \
  "postgresql-client-$IBEX_CLIENT_POSTGRES" bucardo libdbix-safe-perl

begin 'PostgreSQL cluster'
install -d -o postgres -g postgres -m 0700 "$DATA/postgresql"
config="/etc/postgresql/$IBEX_HOST_POSTGRES/main"
cluster="$DATA/postgresql/$IBEX_HOST_POSTGRES/main"
if [[ ! -d $config && -f $cluster/PG_VERSION ]]; then
  # A host that was replaced finds the cluster of its predecessor on the volume, and takes it over. Its files belong to
  # the predecessor's number for the user; its configuration was on the predecessor's own disk, and is made anew.
  chown -R postgres:postgres "$DATA/postgresql"
  if [[ -d $DATA/ibex ]]; then chown -R postgres:postgres "$DATA/ibex"; fi
  install -o postgres -g postgres -m 0600 "/usr/share/postgresql/$IBEX_HOST_POSTGRES/postgresql.conf.sample" \
    "$cluster/postgresql.conf"
  for file in pg_hba.conf pg_ident.conf; do install -o postgres -g postgres -m 0600 /dev/null "$cluster/$file"; done
fi
[[ -d $config ]] || pg_createcluster "$IBEX_HOST_POSTGRES" main --datadir "$cluster" \
  --encoding UTF8 --locale C.UTF-8 --port 5432
put "$config/conf.d/ibex.conf" <<'END'
listen_addresses = ''
max_connections = 200
END
put "$config/pg_hba.conf" <<'END'
# Only over the socket, and only the operating-system user under which everything runs.
local all all peer map=ibex
END
put "$config/pg_ident.conf" <<'END'
ibex postgres postgres
ibex postgres bucardo
END
put "$config/environment" <<'END'
# Bucardo's functions connect to both ends from inside this server.
PGSERVICEFILE = '/run/ibex/pg_service.conf'
END
chown -R postgres:postgres "$config"
put "/etc/systemd/system/postgresql@.service.d/ibex.conf" <<END
[Unit]
RequiresMountsFor=$DATA

[Service]
Restart=on-failure
RestartSec=5
END
systemctl daemon-reload
systemctl enable "postgresql@$IBEX_HOST_POSTGRES-main"
systemctl start "postgresql@$IBEX_HOST_POSTGRES-main"

begin 'Node.js'
node_home="/usr/local/lib/ibex-node-${IBEX_NODE_SHA256:0:12}"
if [[ ! -x $node_home/bin/node ]]; then
  fetch "$IBEX_NODE_URL" /tmp/node.tar
  echo "$IBEX_NODE_SHA256  /tmp/node.tar" | sha256sum --check --quiet
  rm -rf "$node_home.new"
  mkdir -p "$node_home.new"
  tar -xf /tmp/node.tar -C "$node_home.new" --strip-components=1 --no-same-owner
  mv "$node_home.new" "$node_home"
  rm -f /tmp/node.tar
fi
ln -sfn "$node_home/bin/node" /usr/local/bin/node
node --version

begin 'directories'
install -d -o root -g root -m 0755 /opt/ibex
install -d -o root -g postgres -m 0750 /etc/ibex
install -d -o postgres -g postgres -m 0750 "$DATA/ibex"

succeed
