"""What moto's CloudFormation lacks for a site's stack, so that the stack is deployed whole, nothing stripped off.

Filled in here: compute environments without a service role (AWS takes the one linked to Batch), and the removal of what
moto creates in Batch but never removes. Not there at all, and passed over by moto with a warning, are the types in
`PASSED_OVER`: that those are right is for cfn-lint to say, and for a real account.
"""

from __future__ import annotations

from typing import Any

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
