"""Invented events and objects of a learning site, the same for the same size."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any
from uuid import UUID

FIRST_DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
DAY_MILLISECONDS = 86_400_000
COMPANY = "9e000000-0000-4000-8000-000000000001"
COURSES = ("Onboarding basics", "Branches and merges", "Pipelines", "Sécurité, « bases »")

# By the sheet's section 7; what is not text says so.
EVENT_FIELDS: dict[str, str] = {
    "courseAction": "id type source notifiableId courseTitle courseSku",
    "courseCompletion": "id event type source updatedAt:time title license notifiableId",
    "courseView": "courseId courseSku courseTitle lessonId lessonSlug lessonTitle sectionId "
    "sectionSlug sectionTitle topicId topicTitle",
    "login": "event companyHost companySubdomain userAgent browserInfo:object ipAddress "
    "ipGeoInfo:object",
    "visit": "event companyHost companySubdomain",
    "coursePurchase": "id transactionId chargeId orderId groupId purchasableId purchasableType "
    "type sku slug title revenueType variation shippingMethod couponCode giftRecipientEmail "
    "failureCode failureMessage coupon:object quantity:number success:truth courseStartDate:time "
    "referral:object",
    "learningPathAction": "id source type notifiableId learningPathTitle learningPathSku "
    "milestoneTitle",
    "emailCapture": "event source notifiableId notifiableType courseId courseSku courseTitle "
    "companyHost companySubdomain anonymousId",
    "redemptionCodeRedeem": "event redemptionCode redemptionCodeGroupLabel companyHost "
    "companySubdomain",
}
OBJECT_FIELDS: dict[str, str] = {
    "users": "id email firstName lastName roleKey clientId language country state zipCode "
    "shippingName externalCustomerId learnerUserId managerUserId stripeCustomerId sfAccountId "
    "sfContactId balance asset ref1 ref2 ref3 ref4 ref5 ref6 ref7 ref8 ref9 ref10 disabled:truth "
    "createdAt:time lastActiveAt:time customFields:object allocatedLearningPaths:list "
    "allocatedLicenses:list purchasedBundles:list purchasedCourses:list waitlistedCourses:list",
    "contentItems": "id kind title slug sku status source language contentTypeLabel description "
    "metaTitle metaDescription asset assetAltText url authorsAndInstructors:list tags:list "
    "customFields:object createdAt:time updatedAt:time courseStartDate:time courseEndDate:time "
    "enrollmentStartDate:time enrollmentEndDate:time enrollmentCount:number seatsLimit:number "
    "waitlistCount:number priceInCents:number suggestedRetailPriceInCents:number "
    "waitlistingEnabled:truth waitlistingTriggered:truth freeWithRegistration:truth "
    "hasChildren:truth",
    "clients": "id name slug sku disabled:truth createdAt:time updatedAt:time tags:list",
    "meetings": "id title location attendeeInfo startDate:time endDate:time instructors:list "
    "course:object",
    "assessmentAttempts": "id status courseId grade:number timeElapsedInSeconds:number "
    "passed:truth createdAt:time updatedAt:time assessment:object course:object user:object",
    "coupons": "id code appliesToUser active:truth allowMultipleInCart:truth "
    "amountOffInCents:number percentOff:number maxRedemptions:number timesRedeemed:number "
    "redeemBy:time",
}


def events(kind: str, size: int, days: int) -> list[dict[str, Any]]:
    """Events of one kind over some days from FIRST_DAY, newest first.

    One in ten happens in the same millisecond as the one before, one in a hundred at midnight.
    Every fifth day has none but for what happens at its midnight.
    """
    source = random.Random(f"{kind}-{size}-{days}")  # noqa: S311 - nothing secret
    users = [_user(source) for _ in range(20)]
    busy = [day for day in range(days) if day % 5 != 4] or [0]  # noqa: PLR2004 - the fifth
    moments: list[int] = []
    for number in range(size):
        moment = source.choice(busy) * DAY_MILLISECONDS + source.randrange(DAY_MILLISECONDS)
        if number % 100 == 50:  # noqa: PLR2004 - as said above
            moment = source.randrange(days) * DAY_MILLISECONDS
        elif number % 10 == 9 and moments:  # noqa: PLR2004 - as said above
            moment = moments[-1]
        moments.append(moment)
    moments.sort(reverse=True)
    made = []
    for number, moment in enumerate(moments):
        # Neighbours have different users, for a user cannot do a thing twice in a millisecond.
        user = users[number % len(users)]
        fields = _fields(EVENT_FIELDS[kind], source)
        event = {"timestamp": iso(moment), "companyId": COMPANY, **fields, "user": user["email"]}
        made.append(event if kind == "emailCapture" else {**event, "userDetail": user})
    return made


def objects(kind: str, size: int) -> list[dict[str, Any]]:
    """Objects of one kind."""
    source = random.Random(f"{kind}-{size}")  # noqa: S311 - nothing secret
    return [_fields(OBJECT_FIELDS[kind], source) for _ in range(size)]


def iso(milliseconds: int) -> str:
    """The vendor's way to write a moment, given in milliseconds since FIRST_DAY."""
    moment = FIRST_DAY + dt.timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(timestamp: str) -> int:
    """A moment as the vendor writes it, in milliseconds since 1970."""
    return (dt.datetime.fromisoformat(timestamp) - EPOCH) // MILLISECOND


def _user(source: random.Random) -> dict[str, Any]:
    name = source.choice(("pat", "zoë", "o'neil", "mara"))
    return {
        "id": _id(source),
        "email": f"{name}{source.randrange(10_000)}@example.com",
        "firstName": name.title(),
        "lastName": "Doe",
        "externalCustomerId": None,
        "clientId": None,
        "sfContactId": None,
        "ref1": "Customer",
        "ref2": None,
    }


def _fields(spec: str, source: random.Random) -> dict[str, Any]:
    return {
        name: _value(name, kind, source)
        for name, _, kind in (field.partition(":") for field in spec.split())
    }


def _value(name: str, kind: str, source: random.Random) -> Any:  # noqa: ANN401, PLR0911 - by kind
    if name == "id":
        return _id(source)
    if source.random() < 0.15:  # noqa: PLR2004 - now and then there is nothing
        return None
    match kind:
        case "time":
            return iso(source.randrange(30 * DAY_MILLISECONDS))
        case "number":
            return source.randrange(100_000)
        case "truth":
            return source.random() < 0.5  # noqa: PLR2004 - a coin
        case "object":
            return {"id": _id(source), "title": source.choice(COURSES), "more": [1, None]}
        case "list":
            return [source.choice(COURSES) for _ in range(source.randrange(3))]
        case _:
            return _text(name, source)


def _text(name: str, source: random.Random) -> str:
    if name.endswith("Title") or name == "title":
        return source.choice(COURSES)
    if name.endswith("Id"):
        return _id(source)
    return f"{name} {source.randrange(1000)}"


def _id(source: random.Random) -> str:
    return str(UUID(int=source.getrandbits(128), version=4))
