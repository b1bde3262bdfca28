"""Patching functions into classes, and removing exactly these patches again."""

import pytest

from redispan._client.patching.patch import Patch


class Base:
    def method(self):
        return "base"


class Child(Base):
    pass


def doubled(original):
    """Build a shell with a visible effect."""
    return lambda self: original(self) * 2


def test_own_method_is_put_back():
    """A method that the class defined itself is the same object again after the patch is removed."""
    before = vars(Base)["method"]
    patch = Patch(Base, "method", doubled)
    assert Base().method() == "basebase"
    patch.undo()
    assert vars(Base)["method"] is before


def test_inherited_method_is_inherited_again():
    """A class that inherited the method defines none itself after the patch is removed."""
    patch = Patch(Child, "method", doubled)
    assert Child().method() == "basebase"
    assert Base().method() == "base"
    patch.undo()
    assert "method" not in vars(Child)


def test_what_others_put_on_top_stays():
    """redispan leaves a wrapper in place that was added after its own patch. Undoing twice does no harm."""
    patch = Patch(Child, "method", doubled)
    ours = Child.method
    theirs = lambda self: ours(self) + "!"  # noqa: E731 - the point is that it is a function
    Child.method = theirs
    assert not patch.intact
    patch.undo()
    patch.undo()
    assert vars(Child)["method"] is theirs
    del Child.method


def test_missing_attribute_is_refused():
    """redispan refuses to patch an attribute that does not exist."""
    with pytest.raises(AttributeError):
        Patch(Base, "nothing", doubled)
