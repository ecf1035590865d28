#!/usr/bin/env bash
# PgBouncer of Ibex: starts it on the side that is kept outside this machine, keeps its list of users, proves the logins,
# ends a pause that nobody ends. Runs as the user of PgBouncer. What is secret is on tmpfs, mode 0600, and in no argument.
set -euo pipefail
shopt -s inherit_errexit
umask 077

readonly CONFIG=${IBEX_POOLER_CONFIG:-/etc/ibex-pooler/pooler.json}
readonly HOME_DIR=/opt/ibex-pooler
readonly RUN=/run/ibex-pooler
readonly USERS=$RUN/userlist.txt
# The instance's id, as install.sh was told it.
readonly INSTANCE=${CONFIG%/*}/instance

fail() {
  echo "ibex-pooler: $*" >&2
  exit 1
}

setting() { # setting FILTER: one value of the configuration; empty where it is not there
  jq -r "$1 // empty" "$CONFIG"
}

secret() { # secret ARN: its text
  aws secretsmanager get-secret-value --region "$(setting .region)" --secret-id "$1" \
    --query SecretString --output text || fail "secret $1 cannot be read; look at the role and the secret's key policy"
}

# The side is never guessed: a pooler that starts on the wrong one would show applications a database that is not theirs.
side() {
  local parameter value
  parameter=$(setting .sideParameter)
  value=$(aws ssm get-parameter --region "$(setting .region)" --name "$parameter" --query Parameter.Value --output text) ||
    fail "parameter $parameter cannot be read, so the side is unknown; PgBouncer is not started"
  [[ $value == source || $value == target ]] ||
    fail "parameter $parameter is '$value'; it must be source or target"
  [[ -n $(setting ".sides.$value.host") ]] ||
    fail "parameter $parameter is $value, and the settings have no endpoint.pooler.$value"
  echo "$value"
}

# One configuration file for each side, complete: `SET conffile` and RELOAD over the console go from one to the other.
render() {
  local name
  for name in $(jq -r '.sides | keys[]' "$CONFIG"); do
    {
      jq -r --arg side "$name" '
        def quoted: "\u0027" + gsub("\u0027"; "\u0027\u0027") + "\u0027";
        .sides[$side] as $to
        | "[databases]",
          "\(.database) = host=\($to.host) port=\($to.port) dbname=\($to.database | quoted)",
          ""' "$CONFIG"
      cat "$HOME_DIR/pgbouncer.ini"
      jq -r --arg side "$name" '
        .sides[$side] as $to
        | "",
          "default_pool_size = \(.poolSize)",
          "max_client_conn = \(.maxClients)",
          "server_tls_sslmode = \($to.sslmode)",
          "server_tls_ca_file = \($to.authorities // "")",
          # A client that comes or waits in a pause gets its answer when the watch has ended it, at the latest.
          "query_wait_timeout = \([.pauseLimitSeconds + 30, 120] | max)",
          "client_login_timeout = \([.pauseLimitSeconds + 30, 120] | max)"' "$CONFIG"
    } >"$RUN/$name.ini.new"
    mv "$RUN/$name.ini.new" "$RUN/$name.ini"
  done
}

# Writes the list of users anew. A secret that cannot be read or used leaves the old list as it is.
list_users() {
  local login arn
  {
    secret "$(setting .consoleSecret)" | user_line ibex_admin
    while IFS=$'\t' read -r login arn; do
      secret "$arn" | user_line "$login"
    done < <(jq -r '.logins | to_entries[] | [.key, .value] | @tsv' "$CONFIG")
  } >"$USERS.new"
  mv "$USERS.new" "$USERS"
}

# RELOAD keeps every client, and the side: it reads the file that PgBouncer was told last.
users() {
  local before
  before=$(sha256sum "$USERS")
  list_users
  if [[ $(sha256sum "$USERS") != "$before" ]]; then console RELOAD; fi
}

user_line() { # user_line LOGIN: its line, of the secret on standard input
  jq -er --arg login "$1" '
    def quoted: "\"" + gsub("\""; "\"\"") + "\"";
    if (.username // $login) != $login then error("it is of user \(.username)") else . end
    | if (.password | type == "string" and test("\\A[^\\x00-\\x1f]+\\z")) then . else error("it has no usable password") end
    | "\($login | quoted) \(.password | quoted)"' 2>"$RUN/error" ||
    fail "secret of login $1 cannot be used: it must be JSON with its username and a password of one line ($(sed -E 's/^jq: error[^:]*: //; s/:? *Invalid .*$/no JSON/' "$RUN/error"))"
}

certificate() {
  local arn pair part
  arn=$(setting .certificate)
  if [[ -z $arn ]]; then
    if [[ ! -s $RUN/client.key ]]; then
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=ibex-pooler \
        -keyout "$RUN/client.key" -out "$RUN/client.certificate" 2>/dev/null
    fi
    return
  fi
  pair=$(secret "$arn")
  for part in certificate key; do
    printf '%s' "$pair" | jq -er ".$part" >"$RUN/client.$part" 2>/dev/null ||
      fail "secret $arn must be JSON with certificate and key, both PEM"
  done
}

start() {
  local side
  side=$(side)
  render
  # After a crash the list is still there, and a client waits: the timer brings it up to date.
  [[ -s $USERS ]] || list_users
  certificate
  exec /usr/sbin/pgbouncer "$RUN/$side.ini"
}

console() { # console COMMAND: over the Unix socket, as the user of PgBouncer, without a password
  psql -X -A -t -q -d "host=$RUN port=$(port) user=pgbouncer dbname=pgbouncer connect_timeout=5" -c "$1"
}

port() { sed -n 's/^listen_port = //p' "$HOME_DIR/pgbouncer.ini"; }

# Logs every user of the list into every side, as PgBouncer would: server by server, with TLS as far as it checks.
prove() {
  local passwords tried=0 side host port database sslmode authorities login error
  local -A failed=()
  passwords=$(mktemp "$RUN/passwords.XXXXXX")
  # shellcheck disable=SC2064  # the name as it is now
  trap "rm -f '$passwords'" EXIT
  while IFS=$'\t' read -r side host port sslmode authorities; do
    database=$(setting ".sides.$side.database")
    failed[$side]=0
    while read -r login; do
      login=$(jq -r . <<<"$login")
      jq -R -r --arg login "$login" '
        def text: .[1:-1] | gsub("\"\""; "\"");
        capture("^(?<user>\"([^\"]|\"\")*\") (?<password>\".*\")$")
        | select((.user | text) == $login) | "*:*:*:*:" + (.password | text | gsub("(?<c>[:\\\\])"; "\\\(.c)"))' \
        "$USERS" >"$passwords"
      tried=$((tried + 1))
      error=$(PGPASSFILE=$passwords PGHOST=$host PGPORT=$port PGDATABASE=$database PGUSER=$login PGSSLMODE=$sslmode \
        PGSSLROOTCERT=$authorities PGSSLCERT=/nonexistent PGCONNECT_TIMEOUT=10 \
        psql -X -A -t -q -w -c 'SELECT' 2>&1 >/dev/null) || {
        echo "login $login fails on the $side: $(grep -v '^password retrieved' <<<"$error" | paste -sd ' ')" >&2
        failed[$side]=$((failed[$side] + 1))
      }
    done < <(jq -c '.logins | keys[]' "$CONFIG")
  done < <(jq -r '.sides | to_entries[] | [.key, .value.host, .value.port, .value.sslmode, .value.authorities // ""] | @tsv' \
    "$CONFIG")
  local sum=0
  for side in "${!failed[@]}"; do
    sum=$((sum + failed[$side]))
    tell "$side" "${failed[$side]}" || echo "CloudWatch is not told of the $side" >&2
  done
  ((sum == 0)) || fail "$sum of $tried logins fail; correct the secret or the role's password, then run prove again"
  echo "each of $tried logins works"
}

# Tells CloudWatch how many logins fail on a side; its alarms tell the side that clients are on from the other.
tell() { # tell SIDE COUNT
  local now as=other
  [[ -s $INSTANCE ]] || return
  now=$(current) && [[ -n $now ]] || return
  if [[ $1 == "$now" ]]; then as=serving; fi
  aws cloudwatch put-metric-data --region "$(setting .region)" --namespace Ibex/Pooler --metric-data \
    "MetricName=FailedLogins,Unit=Count,Value=$2,Dimensions=[{Name=InstanceId,Value=$(<"$INSTANCE")},{Name=Side,Value=$as}]"
}

paused() { console 'SHOW DATABASES' | awk -F '|' '$1 != "pgbouncer" && $(NF - 1) == 1 { found = 1 } END { exit !found }'; }

# The side that PgBouncer is on.
current() { console 'SHOW CONFIG' | sed -n 's|^conffile[|].*/\([a-z]*\)[.]ini[|].*|\1|p'; }

# Whoever pauses has to resume. When that one is gone, clients would wait for ever; so a pause has an end here: on the
# side that served before it, since the one that it led to meanwhile may never be opened.
watch() {
  local limit now since=0 before='' back
  limit=$(setting .pauseLimitSeconds)
  while sleep 1; do
    now=$(current 2>/dev/null) || now=''
    if ! paused 2>/dev/null; then
      since=0
      before=$now
    elif ((since == 0)); then
      since=$SECONDS
    elif ((SECONDS - since >= limit)); then
      # A watch that began within the pause does not know; then it is where a restart would lead.
      back=${before:-$(side 2>/dev/null || true)}
      echo "paused for $limit s, and nobody resumes: resuming on the ${back:-side it is on}"
      if [[ -n $back && $back != "$now" ]]; then
        console "SET conffile = '$RUN/$back.ini'" || true
        console RELOAD || true
      fi
      console "RESUME \"$(setting .database)\"" || true
      since=0
    fi
  done
}

reload() { # after a new configuration: the side stays the one that PgBouncer is on
  render
  list_users
  console RELOAD
}

status() {
  local state=serving
  if paused; then state=paused; fi
  echo "$state on the $(current); after a restart on the $(side)"
}

case ${1:-} in
start | users | prove | watch | reload | status) "$1" ;;
*) echo 'usage: pooler.sh start|users|prove|watch|reload|status' >&2 && exit 2 ;;
esac
