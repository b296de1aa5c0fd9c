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
# Shown by the pages' scripts.
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
