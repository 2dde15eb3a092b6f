"""The delivery worker: claims lanes, keeps budgets, sends, settles. How a message looks is the business of the channels."""
