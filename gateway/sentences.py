"""Sentences that other modules say and the pages show in their visitor's language.

What is said is looked up by its English words; one that has a number or a name in it stays English. The tests hold every
sentence here to the code that says it.
"""

# Shown by the pages' templates.
BY_PAGES = (
    "A licence that has run out",
    "An account without a licence",
    "The Enterprise tier: all models, no idle stop",
    "The Free tier: small models, a small workspace",
    "The Pro tier: large and small models",
    "The sign-in did not work. Begin again.",
    "The sign-in service does not answer. Try again in a moment.",
    "The sign-in service gave an answer that can't be trusted. Begin again; if it stays so, tell your administrator.",
    "The sign-in service has not let you in. If you think it should, ask your administrator.",
    "There is no Dexorder licence for this account. Ask your administrator for one.",
    "This sign-in was begun too long ago or in another browser, or it was used already. Begin again.",
    "Your Dexorder licence has a setting that can't be read. Ask your administrator to correct it.",
    "Your Dexorder licence has expired. Renew it to go on.",
)
# Shown by the pages' scripts; chat apps say those that come up there.
BY_SCRIPTS = (
    "A command takes no files. Send them with a message.",
    "A file is attached twice.",
    "A message of this conversation is being answered. Stop it first.",
    "An answer is being written. Wait for it, or stop it.",
    "Fetching your workspace's software…",
    "Finding a place for your workspace…",
    "Something went wrong on our side.",
    "Starting your workspace…",
    "Taken up in the answer that is being written.",
    "The answer is no longer kept.",
    "The file is empty.",
    "The files of that message are not kept any more. Attach them again.",
    "The service is not available. Try again in a moment.",
    "The time for this is over. Nothing has changed. Ask again if you still want it.",
    "There is no Dexorder licence for this account. Ask your administrator for one.",
    "There is no such conversation.",
    "There is no such file. Files are kept for an hour, and for one message.",
    "There is no such request any more. Get a new code.",
    "There is no such turn.",
    "This is not what was shown to you. Nothing has changed.",
    "This was withdrawn, because its message was stopped. Nothing has changed.",
    "Wait for the answers to your last requests.",
    "You have sent files again too often. Try it in an hour, or attach them anew.",
    "Your Dexorder licence has a setting that can't be read. Ask your administrator to correct it.",
    "Your Dexorder licence has expired. Renew it to go on.",
    "Your licence has one message answered at once. This one begins when another has ended.",
    "Your workspace is next in line…",
    "Your workspace is ready.",
)
# Said in chat apps: whole paragraphs of what commands answer, why something is refused or failed, and what can't be read.
BY_CHATS = (
    "A new conversation begins. The old one is kept.",
    "Ask me in plain words, for example: *RSI of SPX over the last 252 bars?*",
    "Chat apps are linked and unlinked on your account page: open the menu with your name and choose *Account*.",
    "Hello! I am your trading agent: I compute on market data in a workspace of your own.",
    "I don't know that command.",
    "No model is available for your licence at the moment.",
    "Nothing is running.",
    "Stopped.",
    "The message holds a NUL.",
    "The message is empty.",
    "The message holds characters that can't be stored.",
    "This gateway no longer has the workflow that was to answer you.",
    "What was approved is not what would be done now. Nothing was done.",
    (
        "/new – begin a new conversation\n"
        "/stop – stop the answers being written here\n"
        "/busy – what becomes of a message that comes during an answer\n"
        "/model – which models there are, and which one answers here\n"
        "/analyse – test a strategy, and deploy it on paper if you approve\n"
        "/alert – be told when a price crosses a level\n"
        "/schedule – have me do something at set times\n"
        "/approve, /reject – decide what waits for your yes or no\n"
        "/answer – answer a question of the agent; in a chat app a reply to it does as well\n"
        "/status – your workspace and what is running\n"
        "/usage – what you have used, and what is left\n"
        "/link, /unlink – which chat apps speak for you\n"
        "/help – this list"
    ),
    "animations",
    "music",
    "contacts",
    "such files",
    "games",
    "locations",
    "paid media",
    "such pictures",
    "polls",
    "dice",
    "stickers",
    "stories",
    "places",
    "videos",
    "video messages",
    "voice messages",
    "checklists",
    "text, pictures (PNG, JPEG, WebP), PDF and text files",
    "text messages only",
)
