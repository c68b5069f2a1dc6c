"""Plays a plan, frame by frame: people walk, reach out, do what the script says, and let their hands sink."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from aotd.datasets.playroom.scene import (
    BACK_LANE_Y,
    LANE_Y,
    WALL_LINE,
    Action,
    Frame,
    PlayroomItem,
    PlayroomScene,
    Point,
    Pose,
)
from aotd.datasets.playroom.storyboard import ScenePlan, ScriptedAct
from aotd.datasets.playroom.things import FPS, SHIRTS, THINGS, WIDTH

MIN_FRAMES, LAST_START = 6 * FPS, 12 * FPS - 30
"""A scene's shortest length, and the frame after which no action begins. Most scenes end within 12 seconds."""
CORE = {"take": 7, "put": 7, "throw": 7, "hold": 9, "open": 7, "close": 7, "sit": 8, "walk": 12}
"""How many frames an action lasts; one more or less by chance."""


def play(plan: ScenePlan, seed: str) -> PlayroomScene:
    """Play a plan. The same plan and seed give the same scene."""
    stage = ScenePlayer(plan, Random(f"{seed}/{plan.scene}/play"))  # noqa: S311
    stage.wait(stage.rng.randint(3, 6))
    for act in plan.script:
        if len(stage.frames) > LAST_START:
            break
        stage.perform(act)
    stage.wait(stage.rng.randint(3, 6))
    stage.wait(MIN_FRAMES - len(stage.frames))
    return PlayroomScene(
        plan.scene,
        tuple(THINGS[name] for name in plan.things),
        tuple(stage.rng.sample(SHIRTS, plan.people)),
        tuple(stage.frames),
        tuple(stage.actions),
    )


class ScenePlayer:
    """The scene while it is being played."""

    def __init__(self, plan: ScenePlan, rng: Random) -> None:
        self.rng = rng
        self.things = [THINGS[name] for name in plan.things]
        self.index = {name: plan.things.index(name) for name in plan.things}
        self.frames: list[Frame] = []
        self.actions: list[Action] = []
        self.slots = _slots(rng)
        self.slot_of: dict[int, int] = {}
        self.people = [
            Pose(x=rng.uniform(30, WIDTH - 30) if plan.people == 1 else (rng.uniform(25, 105) + 125 * who), feet=LANE_Y)
            for who in range(plan.people)
        ]
        self.people = [replace(pose, facing=rng.choice([-1, 1])) for pose in self.people]
        self.seated: set[int] = set()
        self.carried: list[list[int | None]] = [[None, None] for _ in self.people]
        self.items = self._furnish(set(plan.opened))
        for name, who in plan.held:
            self._grip(who, self.index[name])

    def _furnish(self, opened: set[str]) -> list[PlayroomItem]:
        """Furniture and wall things side by side, small things on the free places of the floor."""
        places: dict[int, PlayroomItem] = {}
        for place in ("back", "wall"):
            row = [number for number, thing in enumerate(self.things) if thing.place == place]
            self.rng.shuffle(row)
            spare = WIDTH - 8 - sum(self.things[number].size[0] for number in row)
            cuts = sorted(self.rng.uniform(0, spare) for _ in row)
            left, used = 4.0, 0.0
            for number, cut in zip(row, cuts, strict=True):
                width, height = self.things[number].size
                left += cut - used
                used = cut
                base = WALL_LINE + self.rng.uniform(3, 9) if place == "back" else self.rng.uniform(5, 9) + height
                places[number] = PlayroomItem(left + width / 2, base)
                left += width
        free = list(range(len(self.slots)))
        self.rng.shuffle(free)
        for number, thing in enumerate(self.things):
            if thing.place == "floor":
                self.slot_of[number] = free.pop()
                places[number] = PlayroomItem(*self.slots[self.slot_of[number]])
        return [replace(places[number], open=thing.name in opened) for number, thing in enumerate(self.things)]

    # ── the passing of time ───────────────────────────────────────────────────────────────────────

    def wait(self, frames: int) -> None:
        for _ in range(frames):
            self._tick()

    def _tick(self) -> None:
        for who, carried in enumerate(self.carried):
            pose = self.people[who]
            for side, number in enumerate(carried):
                if number is not None:
                    x, y = pose.hand(side)
                    height = self.things[number].size[1]
                    self.items[number] = replace(self.items[number], x=x, base=y + height * 0.7, holder=who)
        self.frames.append(Frame(tuple(self.people), tuple(self.items)))

    def _move(self, who: int, frames: int, **to: float) -> None:
        """Change numbers of a pose evenly over some frames."""
        begin = self.people[who]
        for step in range(1, frames + 1):
            part = step / frames
            values = {key: getattr(begin, key) + (value - getattr(begin, key)) * part for key, value in to.items()}
            self.people[who] = replace(self.people[who], **values)
            self._tick()

    def _hands(self, who: int, frames: int, *targets: tuple[int, Point | None], **to: float) -> None:
        """Bring hands somewhere (None: let them hang) while other numbers of the pose change."""
        begin = self.people[who]
        for step in range(1, frames + 1):
            part = step / frames
            values = {key: getattr(begin, key) + (value - getattr(begin, key)) * part for key, value in to.items()}
            pose = replace(self.people[who], **values)
            hands = list(pose.hands)
            for side, target in targets:
                (x1, y1), (x2, y2) = begin.hand(side), target or replace(pose, hands=(None, None)).hand(side)
                last = step == frames and target is None
                hands[side] = None if last else (x1 + (x2 - x1) * part, y1 + (y2 - y1) * part)
            self.people[who] = replace(pose, hands=(hands[0], hands[1]))
            self._tick()

    # ── what people do ────────────────────────────────────────────────────────────────────────────

    def perform(self, act: ScriptedAct) -> None:
        """Walk there, reach out, do it, let the hands hang again."""
        who, number = act.actor, self.index[act.thing]
        approach = len(self.frames)
        if who in self.seated:
            self.seated.remove(who)
            self._move(who, 3, crouch=0.0)
        self._walk_to(who, act.verb, number)
        reach = len(self.frames)
        core = CORE[act.verb] + self.rng.randint(-1, 1)
        start = getattr(self, f"_{act.verb}")(who, number, core)
        self.actions.append(Action(who, act.verb, number, approach, reach, start, len(self.frames)))
        if act.verb != "sit":
            self._hands(who, 3, (0, None), (1, None), crouch=0.0, feet=self.people[who].feet)
        self.wait(self.rng.randint(1, 2))

    def _walk_to(self, who: int, verb: str, number: int) -> None:
        pose, item, thing = self.people[who], self.items[number], self.things[number]
        feet = BACK_LANE_Y
        if verb in ("hold", "throw"):
            return
        if verb == "put":
            x, feet = pose.x, LANE_Y
        elif verb in ("sit", "walk"):
            x = item.x
        else:
            away = thing.size[0] / 2 + (9 if thing.place == "floor" else 5)
            side = -1 if item.x - away > 16 and (pose.x < item.x or item.x + away > WIDTH - 16) else 1
            x, feet = item.x + side * away, LANE_Y if thing.place == "floor" else BACK_LANE_Y
        x = min(max(x, 14.0), WIDTH - 14.0)
        distance = abs(x - pose.x) + abs(feet - pose.feet)
        steps = max(1, min(6, round(distance / 15)))
        if abs(x - pose.x) > 2:
            self.people[who] = replace(pose, facing=1 if x > pose.x else -1)
        begin = self.people[who]
        aside = self._in_the_way(who, x)
        for step in range(1, steps + 1):
            part = step / steps
            for other, (x1, x2) in aside.items():
                self.people[other] = replace(self.people[other], x=x1 + (x2 - x1) * part)
            stride = 7.0 * (step % 2) if step < steps and distance > 12 else 0.0
            self.people[who] = replace(
                self.people[who],
                x=begin.x + (x - begin.x) * part,
                feet=begin.feet + (feet - begin.feet) * part,
                stride=stride,
            )
            self._tick()
        if verb not in ("put", "sit", "walk"):
            self.people[who] = replace(self.people[who], facing=1 if item.x >= self.people[who].x else -1)

    def _in_the_way(self, who: int, x: float) -> dict[int, tuple[float, float]]:
        """Who stands where somebody else is about to go, and where they step aside to."""
        moves = {}
        for other, pose in enumerate(self.people):
            if other != who and other not in self.seated and abs(pose.x - x) < 26:
                away = 34 if pose.x >= x else -34
                moves[other] = (pose.x, x + away if 14 < x + away < WIDTH - 14 else x - away)
        return moves

    def _reach_frames(self) -> int:
        return self.rng.randint(3, 5)

    def _take(self, who: int, number: int, core: int) -> int:
        item, thing = self.items[number], self.things[number]
        side = 0 if self.carried[who][0] is None else 1
        grip = (item.x, item.base - thing.size[1] * 0.7)
        self._hands(who, self._reach_frames(), (side, grip), crouch=0.9)
        start = len(self.frames)
        self.wait(1)
        self._grip(who, number, side)
        self._hands(who, core - 1, (side, None), crouch=0.0)
        return start

    def _grip(self, who: int, number: int, side: int | None = None) -> None:
        if side is None:
            side = 0 if self.carried[who][0] is None else 1
        assert self.carried[who][side] is None, "a hand is not free"
        self.carried[who][side] = number
        self.slot_of.pop(number, None)

    def _put(self, who: int, number: int, core: int) -> int:
        pose, side = self.people[who], self.carried[who].index(number)
        slot = min(self._free(), key=lambda place: abs(abs(self.slots[place][0] - pose.x) - 24))
        x, base = self.slots[slot]
        self.people[who] = replace(pose, facing=1 if x >= pose.x else -1)
        height = self.things[number].size[1]
        self._hands(who, self._reach_frames(), (side, (pose.x + (x - pose.x) * 0.6, pose.hip + 14)), crouch=0.6)
        start = len(self.frames)
        self._hands(who, core - 2, (side, (x, base - height * 0.7)), crouch=0.9)
        self._release(who, number, slot)
        self._hands(who, 2, (side, None), crouch=0.5)
        return start

    def _throw(self, who: int, number: int, core: int) -> int:
        pose, side = self.people[who], self.carried[who].index(number)
        far = [place for place in self._free() if abs(self.slots[place][0] - pose.x) > 70] or self._free()
        slot = self.rng.choice(far)
        x, base = self.slots[slot]
        facing = 1 if x >= pose.x else -1
        self.people[who] = pose = replace(pose, facing=facing)
        self._hands(who, self._reach_frames(), (side, (pose.x - facing * 16, pose.shoulder - 14)))
        start = len(self.frames)
        self._hands(who, 2, (side, (pose.x + facing * 20, pose.shoulder - 6)))
        self._release(who, number, slot)
        begin = self.items[number]
        for step in range(1, core - 1):
            part = step / (core - 2)
            arc = 46 * part * (1 - part)
            y = begin.base + (base - begin.base) * part - arc
            self.items[number] = replace(begin, x=begin.x + (x - begin.x) * part, base=y)
            self._tick()
        return start

    def _release(self, who: int, number: int, slot: int) -> None:
        self.carried[who][self.carried[who].index(number)] = None
        self.slot_of[number] = slot
        self.items[number] = replace(self.items[number], holder=None)

    def _free(self) -> list[int]:
        return [place for place in range(len(self.slots)) if place not in self.slot_of.values()]

    def _hold(self, who: int, number: int, core: int) -> int:
        pose, side = self.people[who], self.carried[who].index(number)
        high = (pose.x + (1 if side == 0 else -1) * pose.facing * 17, pose.shoulder - 6)
        self._hands(who, self._reach_frames(), (side, high))
        start = len(self.frames)
        self.wait(core)
        return start

    def _open(self, who: int, number: int, core: int) -> int:
        return self._turn(who, number, core, True)

    def _close(self, who: int, number: int, core: int) -> int:
        return self._turn(who, number, core, False)

    def _turn(self, who: int, number: int, core: int, is_open: bool) -> int:
        """Both hands on it, and it shows its inside, or no longer does."""
        pose, item, (width, height) = self.people[who], self.items[number], self.things[number].size
        edge = item.x - pose.facing * width * 0.3
        middle = max(item.base - height * 0.55, 26.0)
        crouch = 0.9 if self.things[number].place == "floor" else 0.0
        grips = ((0, (edge, middle - 3)), (1, (edge, middle + 4)))
        self._hands(who, self._reach_frames(), *grips, crouch=crouch)
        start = len(self.frames)
        self.wait(core // 2)
        self.items[number] = replace(self.items[number], open=is_open)
        pulled = tuple((side, (x - pose.facing * 5, y)) for side, (x, y) in grips)
        self._hands(who, core - core // 2, *pulled)
        return start

    def _sit(self, who: int, number: int, core: int) -> int:
        item = self.items[number]
        self._move(who, 2, feet=item.base + 10, crouch=0.25)
        start = len(self.frames)
        self._move(who, 3, crouch=0.8)
        self.seated.add(who)
        self.wait(core - 3)
        return start

    def _walk(self, who: int, number: int, core: int) -> int:
        item, back = self.items[number], self.people[who].feet
        self._move(who, 2, x=item.x, feet=(back + item.base) / 2 + 2)
        start = len(self.frames)
        half = core // 3
        self._move(who, half, feet=item.base + 1)
        self.people[who] = replace(self.people[who], hidden=True)
        self.wait(core - 2 * half)
        self.people[who] = replace(self.people[who], hidden=False)
        self._move(who, half, feet=back)
        return start


def _slots(rng: Random) -> list[Point]:
    """The places on the floor where a small thing can lie: (middle, lower edge), in two rows."""
    far = [(24 + 41.6 * i + rng.uniform(-3, 3), 164 + rng.uniform(-2, 2)) for i in range(6)]
    near = [(44 + 42 * i + rng.uniform(-3, 3), 186 + rng.uniform(-2, 3)) for i in range(5)]
    return far + near
