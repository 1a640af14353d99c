"""`massager serve`: one owner of each device, for every front end. Begin with face.py."""
