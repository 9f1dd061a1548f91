"""Five questions a person would ask, and how each is answered and explained.

`time_hour` is the scheduled hour of departure in UTC; New York is five hours behind in winter and
four in summer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from cbdd import Database

Answer = tuple[str, Any]
INDEXES = {
    "airports": [[("iata", 1)], [("elevation", -1)]],
    "flights": [
        [("tailnum", 1), ("time_hour", 1)],
        [("dest", 1), ("arr_delay", -1)],
        [("time_hour", 1)],
    ],
}
BLIZZARD = {"$gte": datetime(2013, 2, 8, 5), "$lt": datetime(2013, 2, 9, 5)}
THANKSGIVING_EVE = {"$gte": datetime(2013, 11, 27, 5), "$lt": datetime(2013, 11, 28, 5)}
FEET_OF_A_MOUNTAIN_AIRPORT = 5000


class Question:
    """A question, how to answer it, and the query whose plan is shown."""

    def __init__(
        self,
        text: str,
        collection: str,
        query: dict[str, Any],
        answer: Callable[[Database[Any]], Answer],
        sort: list[tuple[str, int]] | None = None,
    ) -> None:
        self.text = text
        self.collection = collection
        self.query = query
        self.answer = answer
        self.sort = sort

    def plan(self, database: Database[Any]) -> str:
        """Return the plan of the main query in a few words."""
        cursor = database[self.collection].find(self.query, sort=self.sort)
        explained = cursor.explain()
        stage: dict[str, Any] = explained["queryPlanner"]["winningPlan"]
        names = []
        while stage:
            name = stage["stage"]
            names.append(f"{name} {stage['indexName']}" if "indexName" in stage else name)
            stage = stage.get("inputStage", {})
        examined = explained["executionStats"]["totalDocsExamined"]
        return " < ".join(names) + f", {examined:,} documents"


def life_of_a_plane(database: Database[Any]) -> Answer:
    """Count the flights of one plane and look at the first."""
    flights = list(database.flights.find({"tailnum": "N14228"}).sort("time_hour", 1))
    first = flights[0]
    text = f"{len(flights)} times, first to {first['dest']} on {first['time_hour']:%d %B}"
    return text, [flight["_id"] for flight in flights]


def latest_to_honolulu(database: Database[Any]) -> Answer:
    """Find the worst arrivals at one place."""
    worst = list(database.flights.find({"dest": "HNL"}).sort("arr_delay", -1).limit(3))
    texts = [f"{flight['arr_delay'] / 60:.1f} h on {flight['time_hour']:%d %b}" for flight in worst]
    return ", ".join(texts), [flight["_id"] for flight in worst]


def before_thanksgiving(database: Database[Any]) -> Answer:
    """Count one day."""
    count = database.flights.count_documents({"time_hour": THANKSGIVING_EVE})
    return f"{count:,} flights", count


def cancelled_in_the_blizzard(database: Database[Any]) -> Answer:
    """Count what is missing: cancelled flights have no departure time."""
    query = {"time_hour": BLIZZARD}
    planned = database.flights.count_documents(query)
    cancelled = database.flights.count_documents({**query, "dep_time": {"$exists": False}})
    return f"{cancelled} of {planned} ({cancelled / max(planned, 1):.0%})", [planned, cancelled]


def into_the_mountains(database: Database[Any]) -> Answer:
    """Go from one collection to the other: high airports, then the flights to each."""
    high = database.airports.find(
        {"elevation": {"$gt": FEET_OF_A_MOUNTAIN_AIRPORT}, "iata": {"$exists": True}}
    )
    cities = {airport["iata"]: airport.get("city", airport["name"]) for airport in high}
    flights = database.flights.find({"dest": {"$in": list(cities)}}, {"dest": 1, "_id": 0})
    counts = Counter(cities[flight["dest"]] for flight in flights)
    return ", ".join(f"{city} {count:,}" for city, count in counts.most_common()), dict(counts)


QUESTIONS = [
    Question(
        "How often did plane N14228 leave New York, and where to first?",
        "flights",
        {"tailnum": "N14228"},
        life_of_a_plane,
        [("time_hour", 1)],
    ),
    Question(
        "How late were the three latest arrivals in Honolulu?",
        "flights",
        {"dest": "HNL"},
        latest_to_honolulu,
        [("arr_delay", -1)],
    ),
    Question(
        "How busy is the day before Thanksgiving?",
        "flights",
        {"time_hour": THANKSGIVING_EVE},
        before_thanksgiving,
    ),
    Question(
        "How many flights did the blizzard of 8 February cancel?",
        "flights",
        {"time_hour": BLIZZARD, "dep_time": {"$exists": False}},
        cancelled_in_the_blizzard,
    ),
    Question(
        "Which airports above 5,000 feet do New Yorkers fly to, how often?",
        "airports",
        {"elevation": {"$gt": FEET_OF_A_MOUNTAIN_AIRPORT}, "iata": {"$exists": True}},
        into_the_mountains,
    ),
]
