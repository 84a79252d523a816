"""Readers of the files in which labels are written, and what writes events.

Each reads one kind:

    text              encodings and separators, for all readers
    tables            tables whose first row names their columns
    event_lists       recording, onset, offset, label: strong labels
    clip_lists        which classes occur in which clip: weak labels
    timed_labels      what the two below read
    label_tracks      Audacity
    selection_tables  Raven, and tables of detections as BirdNET writes them

`event_tables` writes events.csv and tags.csv, which `event_lists` reads.
"""
