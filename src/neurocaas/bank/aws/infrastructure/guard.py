"""What watches the account: messages about jobs, alarms when nobody listens, and a budget that ends spending."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from neurocaas.bank.aws.infrastructure import policies
from neurocaas.bank.aws.infrastructure.buckets import submissions_rule
from neurocaas.bank.aws.infrastructure.declaration import Declaration
from neurocaas.bank.aws.infrastructure.policies import Resources
from neurocaas.bank.aws.stack import STACK_TAG

EVENTS_DAYS = 1  # the sweep knows by then
SUBMISSIONS_DAYS = 14  # as long as SQS keeps anything: somebody waits for each
LOG_DAYS = 90
LATE_MINUTES = 15
WARNING_PERCENT = 80
DAY_SECONDS = 86_400

# Of a change of state only this is passed on: the whole message holds the container's environment, a ticket in it.
_TOLD = {
    "InputPathsMap": {
        "kind": "$.detail-type",
        "id": "$.detail.jobId",
        "name": "$.detail.jobName",
        "status": "$.detail.status",
    },
    "InputTemplate": '{"detail-type": <kind>, "detail": {"jobId": <id>, "jobName": <name>, "status": <status>}}',
}


def messages(wanted: Declaration) -> dict[str, Any]:
    """Queues of messages, and the rules that fill them. Two, since different parts of the site read them."""
    return {
        "EventsQueue": _queue(wanted, EVENTS_DAYS),
        "EventsQueuePolicy": _queue_policy("EventsQueue", "EventsRule"),
        "EventsRule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "Description": "Jobs of this stack's queues that change their state",
                "EventPattern": {
                    "source": ["aws.batch"],
                    "detail-type": ["Batch Job State Change"],
                    "detail": {"jobQueue": [{"prefix": _queues(wanted)}]},
                },
                "State": "ENABLED",
                "Targets": [{"Id": "queue", "Arn": {"Fn::GetAtt": ["EventsQueue", "Arn"]}, "InputTransformer": _TOLD}],
            },
        },
        "SubmissionsQueue": _queue(wanted, SUBMISSIONS_DAYS),
        "SubmissionsQueuePolicy": _queue_policy("SubmissionsQueue", "SubmissionsRule"),
        "SubmissionsRule": submissions_rule(wanted),
        "LogGroup": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {"LogGroupName": f"/neurocaas/{wanted.aws.stack}", "RetentionInDays": LOG_DAYS},
        },
    }


def guard(wanted: Declaration) -> dict[str, Any]:
    """Alarms, the budget, and, where `site.json` names the site's manager, what the budget does about it."""
    resources = {
        "JobsUnheard": _alarm(
            wanted,
            "The site does not listen to its jobs: is it running?",
            _oldest("EventsQueue"),
        ),
        "SubmissionsUnheard": _alarm(
            wanted,
            "A submission in a drop-box waits for the site: is it running?",
            _oldest("SubmissionsQueue"),
        ),
        "EventsLost": _alarm(wanted, "Messages about jobs were not delivered.", _failed("EventsRule")),
        "SubmissionsLost": _alarm(wanted, "Messages about submissions were not delivered.", _failed("SubmissionsRule")),
    }
    if not wanted.aws.alarm_topic:
        resources |= _own_topic(wanted)
    if (dollars := wanted.aws.budget_dollars_per_month) is not None:
        resources["Budget"] = _budget(wanted, dollars)
        resources |= _brake(wanted) if wanted.aws.manager else {}
    return resources


def topic(wanted: Declaration) -> Any:
    return wanted.aws.alarm_topic or {"Ref": "AlarmTopic"}


def _queues(wanted: Declaration) -> Any:
    return Resources(stack=wanted.aws.stack).arn("batch", f"job-queue/{wanted.aws.stack}-")


def _queue(wanted: Declaration, days: int) -> dict[str, Any]:
    return {
        "Type": "AWS::SQS::Queue",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "MessageRetentionPeriod": days * DAY_SECONDS,
            "ReceiveMessageWaitTimeSeconds": 20,
            "VisibilityTimeout": 60,
            "SqsManagedSseEnabled": True,
            "Tags": [{"Key": STACK_TAG, "Value": wanted.aws.stack}],
        },
    }


def _queue_policy(queue: str, rule: str) -> dict[str, Any]:
    document = policies.document(policies.sender(queue, rule))
    return {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": queue}], "PolicyDocument": document}}


def _oldest(queue: str) -> dict[str, Any]:
    return {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}],
        "Statistic": "Maximum",
        "Threshold": LATE_MINUTES * 60,
    }


def _failed(rule: str) -> dict[str, Any]:
    return {
        "Namespace": "AWS/Events",
        "MetricName": "FailedInvocations",
        "Dimensions": [{"Name": "RuleName", "Value": {"Ref": rule}}],
        "Statistic": "Sum",
        "Threshold": 0,
    }


def _alarm(wanted: Declaration, description: str, metric: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": f"{wanted.aws.stack}: {description}",
            "AlarmActions": [topic(wanted)],
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 1,
            "Period": 300,
            "TreatMissingData": "notBreaching",
            **metric,
        },
    }


def _budget(wanted: Declaration, dollars: Decimal) -> dict[str, Any]:
    """Over all that the account spends: a budget over tagged costs sees nothing until somebody activates the tag."""

    def told(kind: str, percent: int) -> dict[str, Any]:
        return {
            "Notification": {
                "NotificationType": kind,
                "ComparisonOperator": "GREATER_THAN",
                "Threshold": percent,
                "ThresholdType": "PERCENTAGE",
            },
            "Subscribers": [{"SubscriptionType": "SNS", "Address": topic(wanted)}],
        }

    return {
        "Type": "AWS::Budgets::Budget",
        **({} if wanted.aws.alarm_topic else {"DependsOn": "AlarmTopicPolicy"}),
        "Properties": {
            "Budget": {
                "BudgetName": wanted.aws.stack,
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": float(dollars), "Unit": "USD"},
            },
            "NotificationsWithSubscribers": [
                told("ACTUAL", WARNING_PERCENT),
                told("FORECASTED", 100),
                told("ACTUAL", 100),
            ],
        },
    }


def _own_topic(wanted: Declaration) -> dict[str, Any]:
    speakers = {"Service": ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]}
    own = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    speaking = policies.allow(["sns:Publish"], [{"Ref": "AlarmTopic"}], own) | {"Principal": speakers}
    return {
        "AlarmTopic": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"Tags": [{"Key": STACK_TAG, "Value": wanted.aws.stack}]},
        },
        "AlarmTopicPolicy": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {"Topics": [{"Ref": "AlarmTopic"}], "PolicyDocument": policies.document([speaking])},
        },
    }


def _brake(wanted: Declaration) -> dict[str, Any]:
    """When the month's budget is spent, the site's manager may start nothing more; what runs goes on to its end."""
    at = Resources(stack=wanted.aws.stack)
    kind, _, name = wanted.aws.manager.partition("/")
    manager = {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{wanted.aws.manager}"}
    attaching = [f"iam:Attach{kind.title()}Policy", f"iam:Detach{kind.title()}Policy"]
    only = {"ArnEquals": {"iam:PolicyARN": {"Ref": "NothingNew"}}}
    return {
        "NothingNew": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "Description": "The month's budget is spent: no job is started",
                "PolicyDocument": policies.document(policies.nothing_new(at)),
            },
        },
        "BrakeRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": policies.trust({"Service": "budgets.amazonaws.com"}),
                "Policies": [
                    {
                        "PolicyName": "own",
                        "PolicyDocument": policies.document([policies.allow(attaching, [manager], only)]),
                    }
                ],
            },
        },
        "Brake": {
            "Type": "AWS::Budgets::BudgetsAction",
            "DependsOn": "Budget",
            "Properties": {
                "BudgetName": wanted.aws.stack,
                "ActionType": "APPLY_IAM_POLICY",
                "ActionThreshold": {"Type": "PERCENTAGE", "Value": 100},
                "ApprovalModel": "AUTOMATIC",
                "NotificationType": "ACTUAL",
                "ExecutionRoleArn": {"Fn::GetAtt": ["BrakeRole", "Arn"]},
                "Definition": {"IamActionDefinition": {"PolicyArn": {"Ref": "NothingNew"}, f"{kind.title()}s": [name]}},
                "Subscribers": [{"Type": "SNS", "Address": topic(wanted)}],
            },
        },
    }
