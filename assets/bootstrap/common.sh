#!/usr/bin/env bash
# What the bootstraps of host and pooler share; lib puts it before either. Tells CloudFormation how it ended, so that a
# broken bootstrap fails the deployment and says why.
set -euo pipefail

readonly LOG=/var/log/ibex-bootstrap.log
export DEBIAN_FRONTEND=noninteractive
step='start'

# By Python, on which cloud-init runs too: curl is not there yet when the package sources fail.
signal() { # signal SUCCESS|FAILURE REASON
  python3 - "$1" "$2" <<'PYTHON'
import json, os, socket, sys, time, urllib.error, urllib.request
status, reason = sys.argv[1], ' '.join(sys.argv[2].split())[:900]
body = {'Status': status, 'Reason': reason, 'UniqueId': 'bootstrap', 'Data': socket.gethostname()}
# S3 signed the address for no content type.
request = urllib.request.Request(
    os.environ['IBEX_SIGNAL_URL'], json.dumps(body).encode(), {'Content-Type': ''}, method='PUT')
for wait in 1, 5, 15, 30, 0:
    try:
        urllib.request.urlopen(request, timeout=60)
        sys.exit(0)
    except OSError as error:
        print(f'the signal was not taken: {error}')
        if isinstance(error, urllib.error.HTTPError) and error.code < 500:
            break
    time.sleep(wait)
sys.exit(1)
PYTHON
}

ended() {
  local status=$?
  if ((status == 0)); then return; fi
  echo "failed in step $step with status $status"
  signal FAILURE "$step failed with status $status: $(tail -n 4 "$LOG" | head -n 3)" || true
}

begin() { # begin STEP
  step=$1
  echo "$(date -u +%FT%TZ) $step"
}

again() { # again COMMAND…: what crosses the network is tried five times
  local try
  for try in 1 2 3 4; do
    if "$@"; then return; fi
    echo "try $try failed: $*"
    sleep $((try * 5))
  done
  "$@"
}

fetch() { # fetch URL FILE
  again curl --silent --show-error --fail --location --max-time 600 -o "$2" "$1"
}

update_lists() { # without the mode, apt-get ends well although a source could not be read, or was not signed
  again apt-get update -q -o APT::Update::Error-Mode=any
}

install_packages() { # install_packages NAME…
  again apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$@"
}

# The package is pinned by version, and, where the settings know it, by checksum; else TLS vouches for Amazon's bucket.
install_agent() {
  local package=/tmp/amazon-ssm-agent.deb
  if [[ $(dpkg-query -W -f '${Version}' amazon-ssm-agent 2>/dev/null || true) != "$IBEX_SSM_AGENT_VERSION"* ]]; then
    fetch "https://s3.$IBEX_REGION.amazonaws.com/amazon-ssm-$IBEX_REGION/$IBEX_SSM_AGENT_VERSION/debian_amd64/amazon-ssm-agent.deb" "$package"
    if [[ -n $IBEX_SSM_AGENT_SHA256 ]]; then
      echo "$IBEX_SSM_AGENT_SHA256  $package" | sha256sum --check --quiet
    fi
    dpkg -i "$package"
    rm -f "$package"
  fi
  systemctl enable --now amazon-ssm-agent
}

succeed() {
  begin 'signal'
  # The address is valid for some hours; a run long after the deployment has nobody to tell.
  signal SUCCESS ready || echo 'nobody waits for the signal any more'
  begin 'done'
}

exec >>"$LOG" 2>&1
trap ended EXIT
