"""Instances: for each instance type a compute environment and a queue on demand, and the same at the save price.

Nobody but the job manager reaches an instance: no port is open, no key pair and no session manager is there, and the
metadata service answers the system alone.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from neurocaas.bank.aws.infrastructure import names
from neurocaas.bank.aws.infrastructure.declaration import Declaration
from neurocaas.bank.aws.stack import STACK_TAG, queue_output
from neurocaas.bank.provider import InstanceType

BOUNDARY = "==neurocaas=="
METADATA = "169.254.169.254,169.254.170.2"  # of the instance, and of the task


def machines(wanted: Declaration, subnets: list[Any], vpc: Any) -> dict[str, Any]:
    """Resources, by logical id."""
    resources = {"Firewall": _firewall(wanted, vpc), "LaunchTemplate": _launch_template(wanted)}
    for one in wanted.types:
        for save in _ways(one):
            resources[names.environment_id(one.name, save=save)] = _environment(wanted, one, subnets, save=save)
            resources[queue_output(one.name, save=save)] = _queue(wanted, one, save=save)
    return resources


def outputs(wanted: Declaration) -> dict[str, Any]:
    queues = [queue_output(one.name, save=save) for one in wanted.types for save in _ways(one)]
    return {queue: {"Value": {"Ref": queue}} for queue in queues}


def user_data(wanted: Declaration) -> str:
    """What an instance does at its first start, in the MIME form that Batch asks for."""
    script = "\n".join(
        [
            "#!/bin/sh",
            # Containers share the host's network, so the hop limit alone does not keep a workflow, which runs under a
            # uid of its own, from the metadata service.
            f"iptables --insert OUTPUT --destination {METADATA} --match owner ! --uid-owner 0 --jump REJECT",
            _file("/usr/local/sbin/neurocaas-watchdog", watchdog()),
            "chmod 755 /usr/local/sbin/neurocaas-watchdog",
            _file("/etc/systemd/system/neurocaas-watchdog.service", _service(wanted)),
            _file("/etc/systemd/system/neurocaas-watchdog.timer", TIMER),
            "systemctl daemon-reload",
            "systemctl enable --now neurocaas-watchdog.timer",
        ]
    )
    return (
        f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{BOUNDARY}"\n\n'
        f'--{BOUNDARY}\nContent-Type: text/x-shellscript; charset="us-ascii"\n\n{script}\n--{BOUNDARY}--\n'
    )


def watchdog() -> str:
    """The program that ends an instance which nobody claims, from within."""
    return files(__package__).joinpath("data/watchdog.sh").read_text(encoding="ascii")


TIMER = "[Timer]\nOnBootSec=2min\nOnUnitActiveSec=1min\n\n[Install]\nWantedBy=timers.target\n"


def _service(wanted: Declaration) -> str:
    unclaimed, lifetime = wanted.aws.unclaimed_minutes, wanted.aws.max_instance_hours * 60
    return (
        "[Service]\nType=oneshot\nExecStart=/usr/local/sbin/neurocaas-watchdog\n"
        f"Environment=UNCLAIMED_MINUTES={unclaimed} LIFETIME_MINUTES={lifetime}\n"
    )


def _file(path: str, content: str) -> str:
    return f"cat >{path} <<'END-OF-FILE'\n{content}END-OF-FILE"


def _ways(one: InstanceType) -> tuple[bool, ...]:
    """On demand, and at the save price where there is one."""
    return (False, True) if one.save_price_per_hour is not None else (False,)


def _firewall(wanted: Declaration, vpc: Any) -> dict[str, Any]:
    def out(port: int) -> dict[str, Any]:
        return {
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "CidrIp": "0.0.0.0/0",
            "Description": "Images, the store, and what a workflow with network fetches",
        }

    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {
            "GroupDescription": "Instances of NeuroCAAS: nothing comes in",
            "VpcId": vpc,
            "SecurityGroupEgress": [out(443), out(80)],
            "Tags": _tags(wanted),
        },
    }


def _launch_template(wanted: Declaration) -> dict[str, Any]:
    disk = {"VolumeSize": wanted.aws.disk_gib, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    return {
        "Type": "AWS::EC2::LaunchTemplate",
        "Properties": {
            "LaunchTemplateData": {
                "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": disk}],
                "InstanceInitiatedShutdownBehavior": "terminate",
                "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                "TagSpecifications": [{"ResourceType": "volume", "Tags": _tags(wanted)}],
                "UserData": {"Fn::Base64": user_data(wanted)},
            }
        },
    }


def _environment(wanted: Declaration, one: InstanceType, subnets: list[Any], *, save: bool) -> dict[str, Any]:
    strategy = "SPOT_PRICE_CAPACITY_OPTIMIZED" if save else "BEST_FIT_PROGRESSIVE"
    return {
        "Type": "AWS::Batch::ComputeEnvironment",
        "Properties": {
            "ComputeEnvironmentName": names.queue(wanted.aws.stack, one.name, save=save),
            "Type": "MANAGED",
            "State": "ENABLED",
            # Changed in place: jobs that run on the old instances end in peace.
            "ReplaceComputeEnvironment": False,
            "UpdatePolicy": {"TerminateJobsOnUpdate": False, "JobExecutionTimeoutMinutes": 360},
            "ComputeResources": {
                "Type": "SPOT" if save else "EC2",
                "AllocationStrategy": strategy,
                "InstanceTypes": [one.name],
                "MinvCpus": 0,
                "MaxvCpus": max(wanted.aws.max_vcpus, one.vcpus),
                "Ec2Configuration": [{"ImageType": "ECS_AL2023_NVIDIA" if one.gpus else "ECS_AL2023"}],
                "InstanceRole": {"Fn::GetAtt": ["InstanceProfile", "Arn"]},
                "LaunchTemplate": {
                    "LaunchTemplateId": {"Ref": "LaunchTemplate"},
                    "Version": {"Fn::GetAtt": ["LaunchTemplate", "LatestVersionNumber"]},
                },
                "SecurityGroupIds": [{"Fn::GetAtt": ["Firewall", "GroupId"]}],
                "Subnets": subnets,
                "Tags": {STACK_TAG: wanted.aws.stack, "Name": names.queue(wanted.aws.stack, one.name, save=save)},
            },
        },
    }


def _queue(wanted: Declaration, one: InstanceType, *, save: bool) -> dict[str, Any]:
    environment = {"Ref": names.environment_id(one.name, save=save)}
    return {
        "Type": "AWS::Batch::JobQueue",
        "Properties": {
            "JobQueueName": names.queue(wanted.aws.stack, one.name, save=save),
            "Priority": 1,
            "State": "ENABLED",
            "ComputeEnvironmentOrder": [{"Order": 1, "ComputeEnvironment": environment}],
        },
    }


def _tags(wanted: Declaration) -> list[dict[str, str]]:
    return [{"Key": STACK_TAG, "Value": wanted.aws.stack}]
