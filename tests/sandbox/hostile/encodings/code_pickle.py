# A pickle that starts a program.
def execute_command(video_clip, query, possible_answers):
    builtins = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'BuiltinImporter'][0].load_module('builtins')
    pickle = builtins.__import__('pickle')
    return str(pickle.loads(b'cos\nsystem\n(S"touch ' + (CANARY + '.pickle').encode() + b'"\ntR.'))
