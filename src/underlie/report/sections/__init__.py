"""From facts to sections: tables of raw values, and sentences that are true of these facts."""
