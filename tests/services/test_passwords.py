"""Which passwords are good enough, and how they are kept."""

from __future__ import annotations

import pytest

from webapp.errors import InvalidInput
from webapp.services import passwords

OWN = ("jane.doe@example.com", "jane.doe", "Jane Doe-Marlborough")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple", "twelve chars", "Q7#kd9!vLw2z", "8391-4472-7750-1", "mein Hund heißt Bello",
        "пароль для работы", "漢字仮名交じり文の長い例文です", "🦊🐢🦜🐝🐙🦔🐌🐞🐟🐳🦀🐘", "a b c d e f g",
        "\t tabs and  spaces \t", "<script>alert(1)</script>", "'; DROP TABLE user; --", "null\x00byte in it",
        " ".join(["long"] + [str(n * n) for n in range(25)]), "password manager of my aunt", "qwerty is a keyboard",
    ],
)  # fmt: skip
def test_good_ones_are_taken_whatever_they_are_made_of(password: str) -> None:
    passwords.check(password, *OWN)
    stored = passwords.hashed(password)
    assert passwords.matches(stored, password)
    assert not passwords.matches(stored, password[:-1])
    assert not passwords.matches(stored, password + " ")


@pytest.mark.parametrize("length", [12, 64, 100, 128])
def test_length_alone_is_no_reason_to_refuse(length: int) -> None:
    passwords.check(("fox over lazy dog " * 8)[:length])


@pytest.mark.parametrize("password", ["", "x", "Sh0rt pass!", "é" * 11, "fox over lazy dog " * 8])
def test_too_short_and_too_long_ones_are_told_the_length(password: str) -> None:
    with pytest.raises(InvalidInput, match="A password has 12 to 128 characters.") as refusal:
        passwords.check(password)
    assert refusal.value.field == "password" and refusal.value.next_step


@pytest.mark.parametrize(
    "password",
    [
        "password1234", "Password2026!", "passwordpassword", "P@ssw0rd1234", "p4$$w0rd!!!!", "12password34",
        "administrator", "Administrator1", "adminadminadmin", "Welcome12345!", "changeme1234", "iloveyou2026",
        "letmein12345", "Summer2026!!!", "Gatehouse2026", "123456789012", "1234567890123", "qwertyuiop12",
        "qwerty123456", "QWERTYQWERTY", "1q2w3e4r5t6y", "1qaz2wsx3edc", "zaq12wsxcde3", "abcdefghijkl",
        "aaaaaaaaaaaaaaaa", "abababababab", "111111222222", "asdfghjkl123", "abc123456789", "0987654321098",
        "qazwsxqazwsx", "secretsecret", "............", "            ",
    ],
)  # fmt: skip
def test_what_guessers_try_first_is_refused(password: str) -> None:
    with pytest.raises(InvalidInput, match="too easy to guess") as refusal:
        passwords.check(password, *OWN)
    assert refusal.value.field == "password" and "unrelated words" in refusal.value.next_step


@pytest.mark.parametrize(
    "password",
    [OWN[0], OWN[0].upper(), "jane.doe2026", "jane.doejane.doe", OWN[2], "!Jane Doe-Marlborough1!"],
)
def test_ones_own_name_and_address_are_no_password(password: str) -> None:
    with pytest.raises(InvalidInput, match="too easy to guess"):
        passwords.check(password, *OWN)


def test_a_person_without_a_name_may_have_any() -> None:
    passwords.check("correct horse battery", "", "")


def test_what_is_kept_says_nothing_about_the_password() -> None:
    one, other = (passwords.hashed("correct horse battery staple") for _ in range(2))
    assert one != other
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not passwords.matches(passwords.NOBODY, "")


def test_a_check_takes_no_time() -> None:
    """Before argon2, with anything that fits into a form."""
    for password in ("ab" * 64, "a" * 1_000_000, "1q" * 60):
        with pytest.raises(InvalidInput):
            passwords.check(password, "b" * 100_000)
