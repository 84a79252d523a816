"""What sounds are in a recording and when, learnt from labels that only say that.

Data flows down this list, and a file imports only from its own room or rooms above:

    errors      the ways a command ends early, and their exit codes
    allocator   the C library's memory, as XLA wants it
    fields      sections of a configuration -> typed objects
    progress    bars on terminals, plain lines elsewhere
    audio       files -> waveforms -> log-mel or MFCC; built-in soundscapes
    data        class and clip lists, feature stores, sampling, batches
    models      gated convolution, bidirectional GRU, attention; the networks
    training    the step, devices and processes, checkpoints, the loop
    detection   posteriors of clips and frames; their fusion, thresholds and events
    metrics     the official scores and plain ones, how sure they are, tables
    workdir     the configuration that the folder of a run was begun with
    prepare     command: recordings and lists -> a feature store
    checking    what can be wrong with recordings and lists, and what they hold
    check       command: a folder of recordings and lists -> what is wrong with it
    system      a configuration made real: its data, its network, its training
    check_config  mistakes in a configuration, found before anything is computed
    inference   posteriors of the models of runs
    exporting   a model as programs without this package: StableHLO, ONNX; loading them
    report      systems side by side, as text and as a page; pictures of clips
    prediction  recordings of any length -> posteriors, tags, events, files of them
    average_checkpoints  command: weights of several epochs -> one model
    export      command: a model -> programs for other software, compared with it first
    fuse        command: posteriors of several epochs or systems -> one
    predict     command: any recordings -> tags and events
    evaluate    command: a reference and estimates of any system -> scores
    main        command: train, evaluate and report one system
"""
