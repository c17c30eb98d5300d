"""The streams: what one endpoint does differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_thought_industries.lists import Events, Objects

if TYPE_CHECKING:
    from tap_thought_industries.lists import ThoughtIndustriesStream


class CourseActions(Events):
    """Enrolments, status changes, certificates; the vendor recommends it over the single feeds."""

    name = "course_actions"
    path = "/events/courseAction"


class CourseCompletions(Events):
    """Completions; the same happening is probably in `course_actions` too, under the same id."""

    name = "course_completions"
    path = "/events/courseCompletion"


class CourseViews(Events):
    """Topics looked at."""

    name = "course_views"
    path = "/events/courseView"
    primary_keys = ("user_id", "timestamp", "topicTitle")


class Logins(Events):
    """Logins, with addresses and browsers: personal data."""

    name = "logins"
    path = "/events/login"
    primary_keys = ("user_id", "timestamp")


class Visits(Events):
    """Visits to the learning site."""

    name = "visits"
    path = "/events/visit"
    primary_keys = ("user_id", "timestamp")


class CoursePurchases(Events):
    """Purchases, failed ones too."""

    name = "course_purchases"
    path = "/events/coursePurchase"
    selected_by_default = False


class LearningPathActions(Events):
    """As `course_actions`, for learning paths."""

    name = "learning_path_actions"
    path = "/events/learningPathAction"
    selected_by_default = False


class EmailCaptures(Events):
    """E-mail addresses left by visitors, who have no user's id."""

    name = "email_captures"
    path = "/events/emailCapture"
    primary_keys = ("courseId", "user", "timestamp")
    selected_by_default = False


class CodeRedemptions(Events):
    """Codes redeemed."""

    name = "code_redemptions"
    path = "/events/redemptionCodeRedeem"
    primary_keys = ("user_id", "redemptionCodeGroupLabel", "redemptionCode", "timestamp")
    selected_by_default = False


class Users(Objects):
    """Users; they have no stamp of their last change."""

    name = "users"
    path = "/users"
    list_key = "users"


class Content(Objects):
    """Courses and other content."""

    name = "content"
    path = "/content"
    list_key = "contentItems"  # not `content`: section 8


class Clients(Objects):
    """Client organisations."""

    name = "clients"
    path = "/clients"
    list_key = "clients"


class Meetings(Objects):
    """Meetings of live courses."""

    name = "meetings"
    path = "/meetings"
    list_key = "meetings"


class AssessmentAttempts(Objects):
    """Attempts at assessments, with grades."""

    name = "assessment_attempts"
    path = "/assessmentAttempts"
    list_key = "assessmentAttempts"


class Coupons(Objects):
    """Coupons."""

    name = "coupons"
    path = "/coupons"
    list_key = "coupons"


STREAMS: tuple[type[ThoughtIndustriesStream], ...] = (
    CourseActions,
    CourseCompletions,
    CourseViews,
    Logins,
    Visits,
    CoursePurchases,
    LearningPathActions,
    EmailCaptures,
    CodeRedemptions,
    Users,
    Content,
    Clients,
    Meetings,
    AssessmentAttempts,
    Coupons,
)
