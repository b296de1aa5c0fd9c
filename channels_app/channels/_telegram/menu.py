"""The bot's menu of commands, in each language and kind of chat. Source: Bot API, setMyCommands, BotCommandScope."""

from dataclasses import dataclass

from telegram import Bot, BotCommand, BotCommandScope, BotCommandScopeAllGroupChats, BotCommandScopeAllPrivateChats

from channels_app.channels._telegram import api


@dataclass(frozen=True, slots=True)
class Entry:
    """A command, with what it does in English and German; `in_groups` = it is of use there."""

    name: str
    english: str
    german: str
    in_groups: bool = False


MENU = (
    Entry("start", "Say hello", "Hallo sagen"),
    Entry("help", "What I can do", "Was ich kann", in_groups=True),
    Entry("new", "Begin a new conversation", "Ein neues Gespräch beginnen", in_groups=True),
    Entry("stop", "Stop the answers being written here", "Die laufenden Antworten anhalten", in_groups=True),
    Entry("analyse", "Test a strategy, deploy it on paper if you approve",
          "Eine Strategie testen und nach Freigabe auf Papier starten", in_groups=True),
    Entry("alert", "Be told when a price crosses a level", "Bei einem Kurs benachrichtigt werden"),
    Entry("schedule", "Have something done at set times", "Etwas zu festen Zeiten erledigen lassen"),
    Entry("approve", "Approve what waits for you", "Freigeben, was auf Sie wartet"),
    Entry("reject", "Reject what waits for you", "Ablehnen, was auf Sie wartet"),
    Entry("answer", "Answer a question of mine", "Eine Rückfrage beantworten"),
    Entry("model", "Which model answers", "Welches Modell antwortet"),
    Entry("busy", "What becomes of a message during an answer", "Was mit Nachrichten während einer Antwort geschieht"),
    Entry("drafts", "Show answers as drafts with a button to stop: on, off",
          "Antworten als Entwurf mit Knopf zum Anhalten zeigen: on, off"),
    Entry("status", "Workspace, queue, what is left", "Arbeitsbereich, Warteschlange und was übrig ist"),
    Entry("usage", "What you have used", "Was Sie verbraucht haben"),
    Entry("link", "Link this account", "Dieses Konto verbinden"),
    Entry("unlink", "Unlink this account", "Die Verbindung lösen"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Menu:
    """The commands that are shown in a kind of chat to people of a language; "" = of any that has no menu."""

    scope: BotCommandScope
    language: str
    commands: list[BotCommand]

    async def show(self, bot: Bot) -> bool:
        """setMyCommands."""
        return await bot.set_my_commands(self.commands, scope=self.scope, language_code=self.language or None)

    async def delete(self, bot: Bot) -> bool:
        """deleteMyCommands."""
        return await bot.delete_my_commands(scope=self.scope, language_code=self.language or None)


def menus() -> list[Menu]:
    """All of them."""
    made = []
    for language in ("", "de"):
        every = [BotCommand(each.name, each.german if language == "de" else each.english) for each in MENU]
        group = [command for command, each in zip(every, MENU, strict=True) if each.in_groups]
        made.append(Menu(BotCommandScopeAllPrivateChats(), language, every))
        made.append(Menu(BotCommandScopeAllGroupChats(), language, group))
    return made


async def set_menus() -> None:
    """Show the menus. Raises DeliveryError."""
    for menu in menus():
        await api.call(menu.show)


async def delete_menus() -> None:
    """Show none. Raises DeliveryError."""
    for menu in menus():
        await api.call(menu.delete)
