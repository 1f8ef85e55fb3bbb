"""What a report says of a model and its rows, as plain numbers; one file a question, nothing rounded or worded."""
