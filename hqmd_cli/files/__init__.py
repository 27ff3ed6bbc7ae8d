"""Files and nothing else: read and write photos, depth maps, video and downloads."""
