"""What moto's CloudFormation lacks for a site's stack, so that the stack is deployed whole, nothing stripped off.

Filled in here: compute environments without a service role (AWS takes the one linked to Batch); the removal of what
moto creates but never removes (in Batch, IAM and the network); the outputs of a stack made by a change set; templates
read from a bucket of this server's; the import of buckets; and that the public is kept out of them. Not there at all,
and passed over by moto with a warning, are the types in `PASSED_OVER`: that those are right is for cfn-lint to say, and
for a real account.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

PASSED_OVER = frozenset(
    {
        "AWS::Budgets::Budget",
        "AWS::Budgets::BudgetsAction",
        "AWS::CloudWatch::Alarm",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
    }
)


IMPORTED: set[str] = set()  # buckets that change sets were made to import


def complete() -> None:
    """Fill in all of it, in this process."""
    complete_batch()
    complete_change_sets()
    complete_buckets()
    complete_policies()
    complete_network()


def complete_batch() -> None:
    """Compute environments and queues as CloudFormation makes and removes them."""
    from moto.batch.models import ComputeEnvironment, JobQueue, batch_backends
    from moto.iam.models import iam_backends

    made = ComputeEnvironment.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]

    def create(cls: Any, resource_name: str, document: Any, account_id: str, region_name: str, **kwargs: Any) -> Any:
        iam = iam_backends[account_id]["aws"]
        linked = f"arn:aws:iam::{account_id}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
        if all(role.arn != linked for role in iam.roles.values()):
            iam.create_role(
                role_name="AWSServiceRoleForBatch",
                assume_role_policy_document="{}",
                path="/aws-service-role/batch.amazonaws.com/",
                permissions_boundary=None,
                description="",
                tags=[],
                max_session_duration="3600",
            )
        document["Properties"].setdefault("ServiceRole", linked)
        return made(cls, resource_name, document, account_id, region_name, **kwargs)

    def remove_environment(cls: Any, name: str, document: Any, account_id: str, region_name: str) -> None:
        batch_backends[account_id][region_name].delete_compute_environment(name)

    def remove_queue(cls: Any, name: str, document: Any, account_id: str, region_name: str) -> None:
        batch_backends[account_id][region_name].delete_job_queue(name)

    def update(cls: Any, original_resource: Any, **given: Any) -> Any:
        return original_resource

    ComputeEnvironment.create_from_cloudformation_json = classmethod(create)  # type: ignore[assignment]
    ComputeEnvironment.delete_from_cloudformation_json = classmethod(remove_environment)  # type: ignore[assignment]
    ComputeEnvironment.update_from_cloudformation_json = classmethod(update)  # type: ignore[assignment]
    JobQueue.delete_from_cloudformation_json = classmethod(remove_queue)  # type: ignore[assignment]
    JobQueue.update_from_cloudformation_json = classmethod(update)  # type: ignore[assignment]


def complete_change_sets() -> None:
    """A change set leaves its template and outputs with the stack; one of kind IMPORT finds the stack that is there."""
    from moto.cloudformation import responses
    from moto.cloudformation.models import ChangeSet, CloudFormationBackend
    from moto.cloudformation.responses import CloudFormationResponse

    applied, made, asked = (
        ChangeSet.apply,
        CloudFormationBackend.create_change_set,
        CloudFormationResponse.create_change_set,
    )

    def apply(self: Any) -> None:
        applied(self)
        self.stack.template_dict = self.template_dict
        self.stack.output_map = self.stack._create_output_map()

    def make(self: Any, stack_name: str, *rest: Any, change_set_type: str, **given: Any) -> Any:
        there = any(stack.name == stack_name for stack in self.stacks.values())
        kind = {True: "UPDATE", False: "CREATE"}[there] if change_set_type == "IMPORT" else change_set_type
        found = made(self, stack_name, *rest, change_set_type=kind, **given)
        self.change_sets[found[0]].change_set_type = change_set_type
        return found

    def ask(self: Any) -> Any:
        for one in self._get_param("ResourcesToImport") or ():
            IMPORTED.add(one["ResourceIdentifier"]["BucketName"])
        return asked(self)

    def read(template_url: str, account_id: str, partition: str) -> str:
        from moto.s3.models import s3_backends

        bucket, _, key = urlsplit(template_url).path.lstrip("/").partition("/")
        return str(s3_backends[account_id][partition].get_object(bucket, key).value.decode())

    responses.get_stack_from_s3_url = read
    ChangeSet.apply = apply  # type: ignore[method-assign]
    CloudFormationBackend.create_change_set = make  # type: ignore[method-assign]
    CloudFormationResponse.create_change_set = ask  # type: ignore[method-assign]


def complete_buckets() -> None:
    """A bucket that is imported is the one that is there, and the public is kept out of one as its template says."""
    from moto.s3.models import FakeBucket, PublicAccessBlock, s3_backends

    made = FakeBucket.create_from_cloudformation_json.__func__  # type: ignore[attr-defined]

    def create(cls: Any, resource_name: str, document: Any, account_id: str, region_name: str, **kwargs: Any) -> Any:
        if resource_name in IMPORTED:
            return s3_backends[account_id]["aws"].buckets[resource_name]
        bucket = made(cls, resource_name, document, account_id, region_name, **kwargs)
        given = document["Properties"].get("PublicAccessBlockConfiguration", {})
        ways = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        bucket.public_access_block = PublicAccessBlock(*(str(bool(given.get(way))).lower() for way in ways))
        return bucket

    FakeBucket.create_from_cloudformation_json = classmethod(create)  # type: ignore[assignment]


def complete_policies() -> None:
    """A managed policy that is removed is taken off everybody first, and from a user that is removed all are."""
    from moto.iam.models import ManagedPolicy, User, iam_backends

    def remove(cls: Any, arn: str, document: Any, account_id: str, region_name: str) -> None:
        iam = iam_backends[account_id]["aws"]
        for holder in (*iam.users.values(), *iam.roles.values()):
            holder.managed_policies.pop(arn, None)
        iam.managed_policies.pop(arn, None)

    removed = User.delete_from_cloudformation_json.__func__  # type: ignore[attr-defined]

    def remove_user(cls: Any, name: str, document: Any, account_id: str, region_name: str) -> None:
        iam_backends[account_id]["aws"].users[name].managed_policies.clear()
        removed(cls, name, document, account_id, region_name)

    ManagedPolicy.delete_from_cloudformation_json = classmethod(remove)  # type: ignore[assignment]
    User.delete_from_cloudformation_json = classmethod(remove_user)  # type: ignore[assignment]


def complete_network() -> None:
    """Route tables, gateways and endpoints are removed."""
    from moto.ec2.models import ec2_backends
    from moto.ec2.models.internet_gateways import InternetGateway
    from moto.ec2.models.route_tables import RouteTable
    from moto.ec2.models.vpcs import VPCEndPoint

    def remove_table(cls: Any, name: str, document: Any, account_id: str, region_name: str) -> None:
        ec2 = ec2_backends[account_id][region_name]
        ec2.get_route_table(name)._associations.clear()
        ec2.delete_route_table(name)

    def remove_gateway(cls: Any, name: str, document: Any, account_id: str, region_name: str) -> None:
        ec2_backends[account_id][region_name].internet_gateways.pop(name, None)

    def remove_endpoint(cls: Any, name: str, document: Any, account_id: str, region_name: str) -> None:
        ec2_backends[account_id][region_name].vpc_end_points.pop(name, None)

    RouteTable.delete_from_cloudformation_json = classmethod(remove_table)  # type: ignore[assignment]
    InternetGateway.delete_from_cloudformation_json = classmethod(remove_gateway)  # type: ignore[assignment]
    VPCEndPoint.delete_from_cloudformation_json = classmethod(remove_endpoint)  # type: ignore[assignment]
