#!/usr/bin/env bash
# Tells CloudWatch how full data volume and memory are, which EC2 itself does not know, and how the sync does. Run each
# minute by ibex-metrics.timer; a minute that cannot be told is left out.
set -euo pipefail

# The variable is the one by which AWS's own programs are told another address.
metadata=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254/}
token=$(curl --silent --fail --max-time 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
  "${metadata%/}/latest/api/token")
about() { # about PATH: what the instance knows of itself
  curl --silent --fail --max-time 5 -H "X-aws-ec2-metadata-token: $token" "${metadata%/}/latest/$1"
}
instance=$(about meta-data/instance-id)
region=$(about meta-data/placement/region)

disk=$(df --output=pcent /database | tail -n 1 | tr -dc '0-9')
memory=$(awk '/^MemTotal:/ { total = $2 } /^MemAvailable:/ { free = $2 } END { print int(100 - 100 * free / total) }' \
  /proc/meminfo)

figure() { # figure NAME UNIT VALUE
  echo "MetricName=$1,Unit=$2,Value=$3,Dimensions=[{Name=InstanceId,Value=$instance}]"
}
figures=("$(figure DataVolumeUsed Percent "$disk")" "$(figure MemoryUsed Percent "$memory")")
# Before the program is there, or the host's PostgreSQL answers, disk and memory are told all the same.
while read -r name unit value; do
  figures+=("$(figure "$name" "$unit" "$value")")
done < <(ibex metrics || true)

aws cloudwatch put-metric-data --region "$region" --namespace Ibex/Host --metric-data "${figures[@]}"
