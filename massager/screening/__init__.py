"""What a person is asked before the first massage, and what follows from the answers.

`questions.py` reads the questions, `profile.py` judges the answers, `profile_file.py` keeps them,
`interview.py` asks, `reasons.py` has the advice after a stop.
"""
