"""What a layout says of a folder -> its data set: recordings found, cut and divided.

In the order of the data:

    listing          what the files of a layout say, before anything is looked up
    recording_names  names in lists -> files of the folder
    stretches        a listing, looked up: each stretch of a recording once
    division         recordings -> splits, where the folder states none
    cutting          times of clips, and of the parts of events in them
    cut_clips        stretches -> clips
    shared_clips     clips that are in two splits
    assembly         all of these, one after the other
"""
