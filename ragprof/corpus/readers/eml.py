"""E-mails: subject as title, who wrote to whom and when, and the text; attachments are counted and left out."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

from ragprof.core.documents import ReadDocument, ReadFile, Segment, SkippedPart
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reader
from ragprof.corpus.markup import html

SHOWN = ("From", "To", "Cc", "Date")


class EmailReader:
    """Prefers plain text where a mail has HTML too."""

    identity = "eml 1"
    isolated = False

    def load(self) -> None:
        """Nothing to load."""

    def read(self, content: bytes) -> ReadFile:
        message = message_from_bytes(content, EmailMessage, policy=policy.default)
        if not any(message[name] for name in (*SHOWN, "Subject")):
            raise BadInput("no mail: it has neither sender nor subject")
        head = "\n".join(f"{name}: {message[name]}" for name in SHOWN if message[name])
        body, attachments = message.get_body(("plain", "html")), len(list(message.iter_attachments()))
        text = ""
        if body is not None:
            try:
                text = body.get_content()
            except LookupError:  # an encoding that Python does not know
                payload = body.get_payload(decode=True)
                text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
            text = html(text).text if body.get_content_subtype() == "html" else text.replace("\r\n", "\n")
        skipped = (SkippedPart("attachment", "attachments of mails are not read", attachments),) if attachments else ()
        segments = (Segment(f"{head}\n\n{text.strip()}\n"),)
        return ReadFile((ReadDocument(" ".join(str(message["Subject"] or "").split()), segments),), skipped=skipped)


plugin: type[Reader] = EmailReader
