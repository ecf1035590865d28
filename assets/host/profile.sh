#!/usr/bin/env bash
# Switches the target's parameter groups to a profile, in place, and says what still waits for a restart. Sent to the
# host by the profile document, which puts the values before it. The profile in force is kept on the data volume, so that
# `keep` finds it again after CloudFormation has reset a group: it does so with every value when one of its own changes.
set -euo pipefail
shopt -s inherit_errexit

: "${SSM_Profile:?}" "${IBEX_REGION:?}" "${IBEX_PARAMETER_GROUPS:?}" "${IBEX_INSTANCES:?}"
readonly RECORD="${IBEX_STATE:-/database/ibex}/profile"

rds() { # rds COMMAND…
  aws rds --region "$IBEX_REGION" --output text "$@"
}

in_force() {
  if [[ -s $RECORD ]]; then cat "$RECORD"; else echo load; fi
}

switch_to() { # switch_to PROFILE
  local entry level group values
  for entry in $IBEX_PARAMETER_GROUPS; do
    level=${entry%%=*} group=${entry#*=}
    values="IBEX_${1^^}_${level^^}"
    if [[ ${!values} == '[]' ]]; then continue; fi
    if [[ $level == cluster ]]; then
      rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name "$group" --parameters "${!values}"
    else
      rds modify-db-parameter-group --db-parameter-group-name "$group" --parameters "${!values}"
    fi >/dev/null
  done
  # Only now: a switch that failed half-way is repeated as it was.
  echo "$1" >"$RECORD.new"
  mv "$RECORD.new" "$RECORD"
}

pending() { # names of the servers whose group waits for a restart
  local instance
  if [[ -n ${IBEX_CLUSTER:-} ]]; then
    rds describe-db-clusters --db-cluster-identifier "$IBEX_CLUSTER" \
      --query "DBClusters[].DBClusterMembers[?DBClusterParameterGroupStatus=='pending-reboot'].DBInstanceIdentifier[]"
  fi
  for instance in $IBEX_INSTANCES; do
    rds describe-db-instances --db-instance-identifier "$instance" \
      --query "DBInstances[?DBParameterGroups[?ParameterApplyStatus=='pending-reboot']].DBInstanceIdentifier"
  done
}

case $SSM_Profile in
load | serve) switch_to "$SSM_Profile" ;;
keep) switch_to "$(in_force)" ;;
show) ;;
*) echo "profile $SSM_Profile is unknown; profiles are load and serve" >&2 && exit 2 ;;
esac

waiting=$(pending)
waiting=$(tr -s '[:space:]' '\n' <<<"$waiting" | sort -u | paste -sd ' ' | sed 's/^ *//')
if [[ -n $waiting ]]; then
  echo "profile $(in_force) in force; static values wait for a restart of: $waiting"
else
  echo "profile $(in_force) in force; nothing waits for a restart"
fi
