"""Amazon SQS as a door: a message is deleted when what it holds is on disk."""

import asyncio
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from typing_extensions import override

from failsoft.errors import ConfigurationError, MissingExtraError, UnavailableError
from failsoft.events import Event, Ignored
from failsoft.intake.admission import Reception
from failsoft.intake.door import Door
from failsoft.intake.queued import MessageReader
from failsoft.settings import Settings

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

BATCH = 10  # the most that one call returns
WAIT = 2  # seconds that a call waits for a message; also how soon a stop is heard
REFUSED = frozenset(
    ("AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch", "QueueDoesNotExist",
     "AWS.SimpleQueueService.NonExistentQueue")
)  # fmt: skip


class SqsDoor(Door):
    """One queue. What is not deleted comes again after the queue's own visibility time-out.

    Who may read it, and in which region, is said as AWS says it: AWS_ACCESS_KEY_ID, a profile, a
    role.
    """

    def __init__(self, queue_url: str, settings: Settings) -> None:
        self.name = f"sqs:{queue_url}"
        self._queue_url = queue_url
        self._timing = settings.timing
        self._reader = MessageReader(queue=queue_url.rpartition("/")[2], settings=settings)

    @classmethod
    def at(cls, spec: str, settings: Settings) -> Self:
        """Read `sqs:QUEUE_URL`.

        Raises:
            ConfigurationError: it is not of this form.
        """
        parts = urlsplit(spec.removeprefix("sqs:"))
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ConfigurationError("A door to SQS is written sqs:https://…/ACCOUNT/QUEUE.")
        return cls(parts.geturl(), settings)

    @override
    async def run(self, reception: Reception, stopping: asyncio.Event) -> None:
        try:
            from botocore import exceptions  # noqa: PLC0415  # comes with an extra
        except ModuleNotFoundError:
            raise MissingExtraError("sqs", "The SQS door") from None
        try:
            client = await asyncio.to_thread(self._client)
            while not stopping.is_set():
                await self._read(client, reception)
        except exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            kind = ConfigurationError if code in REFUSED else UnavailableError
            raise kind(f"{self.name}: {code}") from None
        except (exceptions.NoCredentialsError, exceptions.NoRegionError) as error:
            raise ConfigurationError(f"{self.name}: {error}") from None
        except (exceptions.BotoCoreError, OSError) as error:
            raise UnavailableError(f"{self.name}: {type(error).__name__}") from None

    def _client(self) -> "SQSClient":
        """Build the client: it reads files and takes long, so it is called in a thread."""
        import boto3  # noqa: PLC0415  # comes with an extra
        from botocore.config import Config  # noqa: PLC0415

        parts = urlsplit(self._queue_url)
        config = Config(
            connect_timeout=self._timing.connect,
            read_timeout=self._timing.read + WAIT,
            retries={"total_max_attempts": 1},  # trouble is the business of whoever runs the door
        )
        client: SQSClient = boto3.client(
            "sqs", endpoint_url=f"{parts.scheme}://{parts.netloc}", config=config
        )
        return client

    async def _read(self, client: "SQSClient", reception: Reception) -> None:
        answer = await asyncio.to_thread(
            client.receive_message,
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=WAIT,
            MessageAttributeNames=["content-type"],
        )
        for message in answer.get("Messages", []):
            await reception.admit(await asyncio.to_thread(self._found, message))
            await asyncio.to_thread(
                client.delete_message,
                QueueUrl=self._queue_url,
                ReceiptHandle=message["ReceiptHandle"],
            )

    def _found(self, message: "MessageTypeDef") -> Event | Ignored:
        attribute = message.get("MessageAttributes", {}).get("content-type")
        return self._reader.read(
            message["Body"].encode(),
            message_id=message["MessageId"],
            content_type=attribute.get("StringValue", "") if attribute else "",
        )
