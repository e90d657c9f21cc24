"""The stack's own small network: public subnets without a way in, and a way to S3 that costs nothing."""

from __future__ import annotations

from typing import Any

from neurocaas.bank.aws.infrastructure.declaration import Declaration

RANGE = "10.42.0.0/16"


def network(wanted: Declaration) -> tuple[dict[str, Any], list[Any], Any]:
    """Resources by logical id, the subnets, and the network; none are made where the site names its own."""
    if wanted.aws.vpc:
        return {}, list(wanted.aws.subnets), wanted.aws.vpc
    zones = range(wanted.aws.availability_zones)
    resources: dict[str, Any] = {
        "Network": _resource("VPC", CidrBlock=RANGE, EnableDnsSupport=True, EnableDnsHostnames=True),
        "Gateway": _resource("InternetGateway"),
        "GatewayAttachment": _resource(
            "VPCGatewayAttachment", VpcId={"Ref": "Network"}, InternetGatewayId={"Ref": "Gateway"}
        ),
        "Routes": _resource("RouteTable", VpcId={"Ref": "Network"}),
        "RouteOut": {
            "DependsOn": "GatewayAttachment",
            **_resource(
                "Route",
                RouteTableId={"Ref": "Routes"},
                DestinationCidrBlock="0.0.0.0/0",
                GatewayId={"Ref": "Gateway"},
            ),
        },
        "StoreEndpoint": _resource(
            "VPCEndpoint",
            VpcEndpointType="Gateway",
            ServiceName={"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"},
            VpcId={"Ref": "Network"},
            RouteTableIds=[{"Ref": "Routes"}],
        ),
    }
    for zone in zones:
        resources[f"Subnet{zone}"] = _resource(
            "Subnet",
            VpcId={"Ref": "Network"},
            CidrBlock=f"10.42.{zone * 16}.0/20",
            AvailabilityZone={"Fn::Select": [zone, {"Fn::GetAZs": ""}]},
            # An address that is reached from nowhere, as no port is open; without one, a NAT gateway would cost
            # about a dollar a day.
            MapPublicIpOnLaunch=True,
        )
        resources[f"Subnet{zone}Routes"] = _resource(
            "SubnetRouteTableAssociation", SubnetId={"Ref": f"Subnet{zone}"}, RouteTableId={"Ref": "Routes"}
        )
    return resources, [{"Ref": f"Subnet{zone}"} for zone in zones], {"Ref": "Network"}


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::EC2::{kind}", "Properties": properties}
