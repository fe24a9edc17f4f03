"""Which connections go first where too many wait."""

from ipaddress import ip_network

from webhookd.api.crowd import Crowd


class One:
    """A connection that knows whether it had to go."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.is_open = True

    def give_up(self) -> None:
        self.is_open = False
        self.crowd.works(self)


class Door:
    """Counts who is open, as the server does."""

    def __init__(self, most: int) -> None:
        self.crowd = Crowd(most=most, trusted=[ip_network("10.0.0.0/8")])
        self.all: list[One] = []

    def come(self, peer: str, count: int = 1) -> list[One]:
        came = []
        for _ in range(count):
            one = One(self.crowd)
            self.all.append(one)
            came.append(one)
            self.crowd.waits(one, peer, open_now=sum(each.is_open for each in self.all))
        return came


def test_one_address_gives_up_its_own_oldest_beyond_its_bound() -> None:
    door = Door(40)
    other = door.come("192.0.2.1")
    many = door.come("192.0.2.2", 15)
    assert [one.is_open for one in many] == [False] * 5 + [True] * 10
    assert other[0].is_open


def test_near_the_limit_the_address_that_has_most_waiting_goes_first() -> None:
    door = Door(40)
    door.come("192.0.2.1")
    for number in range(4):
        door.come(f"198.51.100.{number}", 9)
    many = door.come("192.0.2.2", 10)
    assert sum(one.is_open for one in door.all) == 40
    assert door.all[0].is_open
    assert sum(one.is_open for one in many) >= 7


def test_what_works_is_never_given_up() -> None:
    door = Door(4)
    busy = door.come("192.0.2.1", 1)
    door.crowd.works(busy[0])
    for number in range(30):
        door.come(f"198.51.100.{number}")
    assert busy[0].is_open
    assert sum(one.is_open for one in door.all) == 4


def test_trusted_proxies_have_no_bound_of_their_own_and_go_last() -> None:
    door = Door(8)
    proxied = door.come("10.1.2.3", 6)
    strangers = [door.come(f"198.51.100.{number}")[0] for number in range(5)]
    assert all(one.is_open for one in proxied)
    assert [one.is_open for one in strangers] == [False, False, False, True, True]
    assert all(one.is_open for one in door.come("10.1.2.3", 2))
