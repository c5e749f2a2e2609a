"""XML dialects: what makes text of an article's tree. One file per dialect; `prose` is what they share."""
